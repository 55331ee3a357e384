/**
 * sqlite, pgsql and mysql tables against Debian's postmap: the same configuration files, databases and
 * keys give the same answers. Where Postfix says that it cannot tell, so do we; the words differ.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import Sqlite from "better-sqlite3";
import { cannotTell, testTables } from "../../src/table/test-servers.ts";
import { needs } from "../lab/needs.ts";
import { postmapLab } from "../lab/postmap.ts";
import { databasePrograms, type RunningDatabase, startMariadb, startPostgres } from "../peers/database.ts";

const schema = `
CREATE TABLE aliases (alias VARCHAR(200), forw VARCHAR(200), extra VARCHAR(200), active INTEGER);
INSERT INTO aliases VALUES ('user@example.com', 'one@example.org', NULL, 1);
INSERT INTO aliases VALUES ('user@example.com', 'two@example.org', 'x', 1);
INSERT INTO aliases VALUES ('old@example.com', 'nobody', NULL, 0);
INSERT INTO aliases VALUES ('empty@example.com', '', NULL, 1);
INSERT INTO aliases VALUES ('null@example.com', NULL, NULL, 1);
INSERT INTO aliases VALUES ('o''brien@example.com', 'quoted', NULL, 1);
INSERT INTO aliases VALUES ('user', 'bare', NULL, 1);
INSERT INTO aliases VALUES ('example.com', 'domain', NULL, 1);
INSERT INTO aliases VALUES ('com/example', 'labels', NULL, 1);
INSERT INTO aliases VALUES ('loc@dom', '@nouser', NULL, 1);
INSERT INTO aliases VALUES ('per%cent@example.com', 'percent', NULL, 1);
`;

const keys = [
  ..."user@example.com USER@EXAMPLE.COM old@example.com empty@example.com null@example.com none@example.com".split(" "),
  ..."o'brien@example.com user example.com @example.com user@ a@b@example.com user@sub.example.com loc@dom".split(" "),
  ..."per%cent@example.com user@example.net user@com user@.example.com user@example..com *@example.com".split(" "),
  "x' OR '1'='1",
  "x'; DROP TABLE aliases; --",
  "x\\' OR 1=1 --",
  "\\",
  "'",
  "''",
  'x" OR ""="',
  "user@example.com\\",
];

/** Of configuration files, without what says where the server is. */
const tables: Readonly<Record<string, string>> = {
  "a query": "query = SELECT forw FROM aliases WHERE alias='%s' AND active=1 ORDER BY forw\n",
  "the old form": "table = aliases\nselect_field = forw\nwhere_field = alias\n",
  "the old form with conditions":
    "table = aliases\nselect_field = forw\nwhere_field = alias\nadditional_conditions = AND active = 1 ORDER BY forw\n",
  "%u and %d": "query = SELECT forw FROM aliases WHERE alias='%u@%d' ORDER BY forw\n",
  "%u alone": "query = SELECT forw FROM aliases WHERE alias='%u'\n",
  "%d alone": "query = SELECT forw FROM aliases WHERE alias='%d'\n",
  "%S %U %D": "query = SELECT forw FROM aliases WHERE alias='%S' AND '%U'<>'' AND '%D'<>'' ORDER BY forw\n",
  labels: "query = SELECT forw FROM aliases WHERE alias='%1/%2'\n",
  "a label too many": "query = SELECT forw FROM aliases WHERE alias='%s' AND '%3' <> ''\n",
  "%%": "query = SELECT forw FROM aliases WHERE alias LIKE '%%cent@%d' AND alias='%s'\n",
  "a result_format":
    "query = SELECT forw FROM aliases WHERE alias='%s' ORDER BY forw\nresult_format = smtp:[%d] %u %s 100%%\n",
  "a result_format of the key":
    "query = SELECT forw FROM aliases WHERE alias='%s' ORDER BY forw\nresult_format = %s=%S=%U=%D=%1\n",
  "an expansion_limit": "query = SELECT forw FROM aliases WHERE alias='%s' ORDER BY forw\nexpansion_limit = 1\n",
  domains: "query = SELECT forw FROM aliases WHERE alias='%s' ORDER BY forw\ndomain = example.org, Example.COM\n",
  "domains with exceptions":
    "query = SELECT forw FROM aliases WHERE alias='%s' ORDER BY forw\ndomain = !example.net !sub.example.com static:all\n",
  "domains in a table":
    "query = SELECT forw FROM aliases WHERE alias='%s' ORDER BY forw\ndomain = inline:{example.com=x}\n",
  "comments and continued lines":
    "# comment\nquery = SELECT forw\n    FROM aliases\n  # inside\n    WHERE alias='%s'\n  ORDER BY forw\n",
  "a query that gives nothing": "query = SELECT forw FROM aliases WHERE alias='%s' AND 1=0\n",
  "two columns": "query = SELECT forw, extra FROM aliases WHERE alias='%s' ORDER BY forw\n",
  numbers: "query = SELECT active FROM aliases WHERE alias='%s'\n",
  "no table": "query = SELECT forw FROM nosuch WHERE alias='%s'\n",
  "no such template": "query = SELECT forw FROM aliases WHERE alias='%x'\n",
  "no query": "result_format = %s\n",
  "an empty result_format": "query = SELECT 1\nresult_format =\n",
  "a limit that is no number": "query = SELECT forw FROM aliases WHERE alias='%s'\nexpansion_limit = many\n",
};

const lab = postmapLab("sql");
after(() => lab.remove());

/** The same configuration and key, asked of both. */
async function compare(type: string, configuration: string, key: string, args: readonly string[] = []): Promise<void> {
  const directory = lab.place({ "table.cf": configuration });
  const line = [...args, "-q", key, `${type}:${directory}/table.cf`];
  const wanted = await lab.debian("postmap", directory, line);
  const got = await lab.ours("postmap", directory, line);
  assert.deepEqual(
    { status: got.status, out: got.out },
    { status: wanted.status, out: wanted.out },
    got.err + wanted.err,
  );
  assert.equal(/fatal:/.test(got.err), /fatal:/.test(wanted.err), `${got.err}\n${wanted.err}`);
}

/** All keys that have an answer in one run: each `postmap -q -` ends at the first that cannot be told. */
async function compareAll(type: string, configuration: string): Promise<void> {
  const directory = lab.place({ "table.cf": configuration });
  const line = ["-q", "-", `${type}:${directory}/table.cf`];
  const wanted = await lab.debian("postmap", directory, line, `${keys.join("\n")}\n`);
  const got = await lab.ours("postmap", directory, line, `${keys.join("\n")}\n`);
  assert.deepEqual(
    { status: got.status, out: got.out },
    { status: wanted.status, out: wanted.out },
    got.err + wanted.err,
  );
}

function compared(type: string, server: () => string): void {
  for (const [name, table] of Object.entries(tables)) {
    it(`${type} with ${name} answers as Debian's postmap does`, async () => {
      await compareAll(type, server() + table);
      await compare(type, server() + table, "user@example.com");
      await compare(type, server() + table, "none@example.com");
    });
  }

  it(`${type} takes its parameters from main.cf where its name is no path`, async () => {
    const parameters = server() + tables["%u and %d"];
    const written = parameters.replace(/^(\w+) =/gm, "people_$1 =");
    const main = postmapLab("sql-main", written);
    try {
      const directory = main.place({});
      const line = ["-q", "user@example.com", `${type}:people`];
      const got = await main.ours("postmap", directory, line);
      assert.deepEqual(got, await main.debian("postmap", directory, line));
      assert.equal(got.out, "one@example.org,two@example.org\n");
    } finally {
      main.remove();
    }
  });

  it(`${type} can neither be listed nor changed`, async () => {
    const directory = lab.place({ "table.cf": server() + tables["a query"] });
    const reference = `${type}:${directory}/table.cf`;
    for (const args of [["-s", reference], ["-d", "user@example.com", reference], [reference]]) {
      assert.deepEqual(await lab.ours("postmap", directory, args), await lab.debian("postmap", directory, args));
    }
  });

  it(`${type} without its file says so as Debian's does`, async () => {
    const directory = lab.place({});
    const args = ["-q", "a", `${type}:${directory}/nosuch.cf`];
    const [got, wanted] = [await lab.ours("postmap", directory, args), await lab.debian("postmap", directory, args)];
    assert.deepEqual([got.status, got.out], [wanted.status, wanted.out]);
    assert.match(got.err, /open nosuch\.cf: No such file or directory/);
    assert.match(wanted.err, /open nosuch\.cf: No such file or directory/);
  });
}

describe("sqlite", {
  ...needs({ programs: ["/usr/sbin/postmap", "/usr/lib/postfix/postfix-sqlite.so"] }),
  concurrency: 16,
}, () => {
  let path = "";
  before(() => {
    path = join(lab.place({}), "mail.db");
    new Sqlite(path).exec(schema).close();
  });
  compared("sqlite", () => `dbpath = ${path}\n`);

  it("values of every kind come as SQLite writes them", async () => {
    const values = ["1", "1.5", "1.0", "1e21", "0.1+0.2", "-3", "x'6162'", "9007199254740993", "1e-7", "'a'||char(10)"];
    await Promise.all(
      values.map((value) => compare("sqlite", `dbpath = ${path}\nquery = SELECT ${value} WHERE 'k' = '%s'\n`, "k")),
    );
  });
});

const pgsqlNeeds = needs({
  root: true,
  programs: ["/usr/lib/postfix/postfix-pgsql.so", ...(databasePrograms.postgresql ?? [])],
});

describe("pgsql", pgsqlNeeds, () => {
  let server: RunningDatabase;
  before(async () => {
    server = await startPostgres(`${schema}
      CREATE FUNCTION forwarded(text) RETURNS SETOF text AS
        'SELECT forw::text FROM aliases WHERE alias = $1 ORDER BY forw' LANGUAGE sql;
      CREATE ROLE reader LOGIN PASSWORD 'pass word'; GRANT SELECT ON aliases TO reader;`);
  });
  after(() => server?.remove());
  const at = () => `hosts = inet:127.0.0.1:${server.port}\nuser = reader\ndbname = mail\n`;

  describe("answers", { concurrency: 16 }, () => {
    compared(
      "pgsql",
      () => `hosts = inet:127.0.0.1:${server.port}\nuser = reader\npassword = pass word\ndbname = mail\n`,
    );

    it("a select_function is called", async () => {
      const table = `${at()}password = pass word\nselect_function = forwarded\n`;
      await compareAll("pgsql", table);
      await compare("pgsql", table, "user@example.com");
    });

    it("a connection URI is taken for all of host, user and database", async () => {
      const uri = `postgresql://reader:pass%20word@127.0.0.1:${server.port}/mail`;
      await compare("pgsql", `hosts = ${uri}\ndbname = other\n${tables["a query"]}`, "user@example.com");
    });

    it("a wrong password, or a database that is not there, cannot tell, and no password is shown", async () => {
      for (const [name, wrong] of Object.entries({
        password: "password = geheim\n",
        database: "password = pass word\ndbname = nosuch\n",
      })) {
        const directory = lab.place({ "table.cf": at() + wrong + tables["a query"] });
        const got = await lab.ours("postmap", directory, ["-q", "a", `pgsql:${directory}/table.cf`]);
        assert.equal(got.status, 1, name);
        assert.doesNotMatch(got.err, /geheim|pass word/);
        assert.match(
          got.err,
          /warning: connect to pgsql server inet:127\.0\.0\.1:\d+: .*\n.*fatal: table pgsql:table\.cf: query error/,
        );
      }
    });
  });

  it("a server that is restarted is found again, and nothing is known meanwhile", async () => {
    const { set, clock } = testTables({ "/t.cf": `${at()}password = pass word\n${tables["%d alone"]}` });
    const maps = await set.maps(["pgsql:/t.cf"], { foldCase: true });
    assert.equal(await maps.find("x@example.com"), "domain");
    await server.stop();
    await server.start();
    assert.equal(await maps.find("x@example.com"), "domain");
    await server.stop();
    await assert.rejects(async () => maps.find("x@example.com"), cannotTell(/ECONNREFUSED/));
    await server.start();
    clock.advance(5_001);
    assert.equal(await maps.find("x@example.com"), "domain");
    await set.close();
  });
});

const mysqlNeeds = needs({
  root: true,
  programs: ["/usr/lib/postfix/postfix-mysql.so", ...(databasePrograms.mariadb ?? [])],
});

describe("mysql", mysqlNeeds, () => {
  let server: RunningDatabase;
  before(async () => {
    server = await startMariadb(`${schema}
      CREATE PROCEDURE forwarded(k VARCHAR(200)) SELECT forw FROM aliases WHERE alias = k ORDER BY forw;
      CREATE PROCEDURE nothing(k VARCHAR(200)) SET @x = k;
      DELIMITER //
      CREATE PROCEDURE twice(k VARCHAR(200)) BEGIN SELECT 1; SELECT 2; END//
      DELIMITER ;
      CREATE USER reader@localhost IDENTIFIED BY 'pass word';
      GRANT SELECT, EXECUTE ON mail.* TO reader@localhost;`);
  });
  after(() => server?.remove());
  const at = () => `hosts = inet:127.0.0.1:${server.port}\nuser = reader\ndbname = mail\n`;

  describe("answers", { concurrency: 16 }, () => {
    compared("mysql", () => `${at()}password = pass word\n`);

    it("stored procedures are called", async () => {
      const procedures = [
        "query = CALL forwarded('%s')\n",
        "query = CALL nothing('%s')\n",
        "query = CALL nothing('%s')\nrequire_result_set = no\n",
        "query = CALL twice('%s')\n",
      ];
      await Promise.all(
        procedures.map((each) => compare("mysql", `${at()}password = pass word\n${each}`, "user@example.com")),
      );
    });

    it("a Unix socket is spoken to", async () => {
      const table = `hosts = unix:${server.directory}/socket\nuser = root\ndbname = mail\n${tables["a query"]}`;
      await compare("mysql", table, "user@example.com");
    });
  });

  it("where backslashes are ordinary characters, keys are quoted for that", async () => {
    const root = `hosts = unix:${server.directory}/socket\nuser = root\ndbname = mail\n`;
    const setMode = testTables({
      "/m.cf": `${root}query = SET GLOBAL sql_mode = '%s'\nrequire_result_set = no\n`,
    });
    const mode = await setMode.set.maps(["mysql:/m.cf"], { foldCase: false });
    assert.equal(await mode.find("NO_BACKSLASH_ESCAPES"), undefined);
    const { set } = testTables({ "/t.cf": `${root}query = SELECT '%s'\n` });
    const maps = await set.maps(["mysql:/t.cf"], { foldCase: false });
    for (const key of ["\\", "a\\'b", "x'; DROP TABLE aliases; --", '"']) assert.equal(await maps.find(key), key);
    await mode.find("STRICT_TRANS_TABLES");
    await set.close();
    await setMode.set.close();
  });

  it("a server that is restarted is found again, and nothing is known meanwhile", async () => {
    const { set, clock } = testTables({ "/t.cf": `${at()}password = pass word\n${tables["%d alone"]}` });
    const maps = await set.maps(["mysql:/t.cf"], { foldCase: true });
    assert.equal(await maps.find("x@example.com"), "domain");
    await server.stop();
    await assert.rejects(async () => maps.find("x@example.com"), cannotTell(/ECONNREFUSED/));
    await server.start();
    clock.advance(5_001);
    assert.equal(await maps.find("x@example.com"), "domain");
    await set.close();
  });
});
