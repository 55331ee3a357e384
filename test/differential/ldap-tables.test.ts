/**
 * ldap tables against Debian's postmap, over the same OpenLDAP server: the same configuration files and keys give the
 * same answers. Postfix's default of protocol version 2 is refused by today's servers, so each file says version = 3.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { cannotTell, testTables } from "../../src/table/test-servers.ts";
import { needs } from "../lab/needs.ts";
import { type Outcome, postmapLab } from "../lab/postmap.ts";
import { databasePrograms, type RunningDatabase, startSlapd } from "../peers/database.ts";

const person = (uid: string, more: string): string =>
  `dn: uid=${uid},ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\n${more}\n`;

const ldif = `dn: dc=example,dc=com
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

${person("one", "mail: one@example.com\ndescription: first@inside.example\ndescription: second@inside.example\ntitle: boss\n")}
${person("two", "mail: two@example.com\nmail: alias@example.com\ndescription: two@inside.example\nroomNumber: 2\n")}
${person("three", "mail: three@example.com\n")}
${person("star", "mail: star*()\\\\@example.com\ndescription: escaped\n")}
${person("ü", "mail: ü@example.com\ndescription: grüße\n")
  .replace(/dn: uid=ü/, "dn: uid=u1")
  .replace(/uid: ü/, "uid: u1\nuid: ü")}
${person("final", "mail: final@example.com\nemployeeType: terminal\ndescription: not this\n")}
${person("link", "mail: link@example.com\nlabeledURI: ldap:///ou=people,dc=example,dc=com?description?sub?(title=boss)\n")}
${person("linkall", "mail: linkall@example.com\nlabeledURI: ldap:///uid=two,ou=people,dc=example,dc=com\ndescription: self\n")}
${person("badlink", "mail: badlink@example.com\nlabeledURI: ldap:///x??wrong\n")}
dn: cn=team,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: team
description: the team
member: uid=one,ou=people,dc=example,dc=com
member: uid=two,ou=people,dc=example,dc=com
member: uid=nobody,ou=people,dc=example,dc=com
member: cn=inner,ou=groups,dc=example,dc=com

dn: cn=inner,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: inner
member: uid=final,ou=people,dc=example,dc=com
member: uid=three,ou=people,dc=example,dc=com

dn: cn=loop,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: loop
description: around
member: cn=loop,ou=groups,dc=example,dc=com
`;

const keys = [
  ..."one@example.com ONE@example.com two@example.com alias@example.com three@example.com none@example.com".split(" "),
  ..."one @example.com one@ final@example.com link@example.com linkall@example.com team inner u1 ü@example.com".split(
    " ",
  ),
  ..."star*()\\@example.com *@example.com *)(uid=* one@example.com) two@example.org one@sub.example.com *".split(" "),
  "people",
  "one,ou=people",
  "one+cn=one",
  'x"y',
];

const mail = "search_base = ou=people,dc=example,dc=com\nquery_filter = (mail=%s)\n";
const group = "search_base = ou=groups,dc=example,dc=com\nquery_filter = (cn=%s)\nspecial_result_attribute = member\n";

const tables: Readonly<Record<string, string>> = {
  "a plain search": `${mail}result_attribute = description\n`,
  "several attributes": `${mail}result_attribute = description, title uid\n`,
  "an attribute in another case": `${mail}result_attribute = DESCRIPTION\n`,
  "no attribute that is there": `${mail}`,
  "a filter without parentheses": "search_base = dc=example,dc=com\nquery_filter = mail=%s\nresult_attribute = uid\n",
  "a filter of several": `search_base = dc=example,dc=com\nquery_filter = (& (objectClass=inetOrgPerson) (|(mail=%s)(uid=%u)) (!(title=x)))\nresult_attribute = uid\n`,
  "a filter with wildcards":
    "search_base = dc=example,dc=com\nquery_filter = (&(mail=%u*)(mail=*%d)(uid=*))\nresult_attribute = uid\n",
  "a filter with a rule":
    "search_base = dc=example,dc=com\nquery_filter = (mail:caseIgnoreIA5Match:=%s)\nresult_attribute = uid\n",
  "a filter with comparisons":
    "search_base = dc=example,dc=com\nquery_filter = (&(mail=%s)(mail~=%s)(!(cn>=zzz)))\nresult_attribute = uid\n",
  "a filter that is none": "search_base = dc=example,dc=com\nquery_filter = (mail=%s\nresult_attribute = uid\n",
  "a result_format": `${mail}result_attribute = description\nresult_format = smtp:[%d] %u %U\n`,
  "result_filter, its old name": `${mail}result_attribute = uid\nresult_filter = %s@%D\n`,
  "a base of the key":
    "search_base = uid=%u,ou=people,dc=example,dc=com\nquery_filter = (objectClass=*)\nscope = base\nresult_attribute = description\n",
  "a base of the whole key":
    "search_base = uid=%s,ou=people,dc=example,dc=com\nquery_filter = (objectClass=*)\nscope = base\nresult_attribute = cn\n",
  "one level": "search_base = dc=example,dc=com\nquery_filter = (ou=%s)\nscope = one\nresult_attribute = ou\n",
  "a scope that is none": `${mail}scope = deep\nresult_attribute = uid\n`,
  "a base that is not there": "search_base = dc=nowhere\nquery_filter = (mail=%s)\nresult_attribute = uid\n",
  "a base that is no name": "search_base = this is none\nquery_filter = (mail=%s)\nresult_attribute = uid\n",
  domains: `${mail}result_attribute = uid\ndomain = example.org, sub.example.com\n`,
  members: `${group}result_attribute = description\n`,
  "members, but not their group": `${group}leaf_result_attribute = description\nresult_attribute = title\n`,
  "terminal attributes": `${group}terminal_result_attribute = employeeType\nleaf_result_attribute = description\nresult_attribute = title\n`,
  "a recursion_limit": `${group}result_attribute = description\nrecursion_limit = 2\n`,
  links: `${mail}result_attribute = description\nspecial_result_attribute = labeledURI\n`,
  "links for other attributes": `${mail}result_attribute = title\nspecial_result_attribute = labeledURI\n`,
  "an expansion_limit": `${mail}result_attribute = description\nexpansion_limit = 1\n`,
  "a size_limit":
    "search_base = dc=example,dc=com\nquery_filter = (|(mail=%s)(mail=two@example.com))\nresult_attribute = uid\nsize_limit = 1\n",
  "no login": `${mail}result_attribute = uid\nbind = no\n`,
  "a login": `${mail}result_attribute = uid\nbind_dn = cn=manager,dc=example,dc=com\nbind_pw = secret\n`,
  "a wrong login": `${mail}result_attribute = uid\nbind_dn = cn=manager,dc=example,dc=com\nbind_pw = geheim\n`,
  "a login that is none": `${mail}result_attribute = uid\nbind = maybe\n`,
  StartTLS: `${mail}result_attribute = uid\nstart_tls = yes\n`,
};

const lab = postmapLab("ldap");
after(() => lab.remove());

const ldapNeeds = needs({
  root: true,
  programs: ["/usr/lib/postfix/postfix-ldap.so", ...(databasePrograms.slapd ?? [])],
});

describe("ldap", ldapNeeds, () => {
  let server: RunningDatabase;
  before(async () => {
    server = await startSlapd(ldif);
  });
  after(() => server?.remove());
  const at = (): string => `server_host = 127.0.0.1:${server.port}\nversion = 3\n`;

  const short = ({ status, out, err }: Outcome) => ({ status, out, cannotTell: /fatal:/.test(err) });

  async function agree(table: string, args: readonly string[], input = ""): Promise<Outcome> {
    const directory = lab.place({ "table.cf": at() + table });
    const line = [...args, `ldap:${directory}/table.cf`];
    const ours = await lab.ours("postmap", directory, line, input);
    const debian = await lab.debian("postmap", directory, line, input);
    assert.deepEqual(short(ours), short(debian), `${ours.err}\n${debian.err}`);
    assert.doesNotMatch(ours.err, /geheim|secret/);
    return ours;
  }

  describe("answers", { concurrency: 16 }, () => {
    for (const [name, table] of Object.entries(tables)) {
      it(`with ${name} are those of Debian's postmap`, async () => {
        await agree(table, ["-q", "-"], `${keys.join("\n")}\n`);
        await agree(table, ["-q", "one@example.com"]);
      });
    }

    it("to a group that is its own member cannot be given", async () => {
      assert.equal(
        (await agree(`${group}result_attribute = description\nrecursion_limit = 20\n`, ["-q", "loop"])).status,
        1,
      );
    });

    it("to a link that is none cannot be given", async () => {
      const table = `${mail}result_attribute = title\nspecial_result_attribute = labeledURI\n`;
      assert.equal((await agree(table, ["-q", "badlink@example.com"])).status, 1);
    });

    it("come over TLS from a server that is who it should be, and from no other", async () => {
      const tls = `${mail}result_attribute = uid\nstart_tls = yes\ntls_require_cert = yes\n`;
      const known = `${tls}tls_ca_cert_file = ${server.directory}/certificate\n`;
      const named = `server_host = ldap://localhost:${server.port}\n`;
      // OpenLDAP's library takes "localhost" for this host's own name, so Debian's is not asked.
      const directory = lab.place({ "table.cf": at() + known + named });
      const got = await lab.ours("postmap", directory, ["-q", "one@example.com", `ldap:${directory}/table.cf`]);
      assert.equal(got.out, "one\n", got.err);
      assert.equal((await agree(known, ["-q", "one@example.com"])).status, 1);
      assert.equal((await agree(tls + named, ["-q", "one@example.com"])).status, 1);
    });

    it("come from the next server where the first is away", async () => {
      const table = `${mail}result_attribute = uid\nserver_host = ldap://127.0.0.1:1 ldap://127.0.0.1:${server.port}\n`;
      assert.equal((await agree(table, ["-q", "one@example.com"])).out, "one\n");
    });
  });

  it("a server that is restarted is found again, and nothing is known meanwhile", async () => {
    const { set, clock } = testTables({ "/t.cf": `${at()}${mail}result_attribute = uid\n` });
    const maps = await set.maps(["ldap:/t.cf"], { foldCase: true });
    assert.equal(await maps.find("one@example.com"), "one");
    await server.stop();
    await assert.rejects(async () => maps.find("one@example.com"), cannotTell(/ECONNREFUSED/));
    await server.start();
    clock.advance(5_001);
    assert.equal(await maps.find("one@example.com"), "one");
    await set.close();
  });
});
