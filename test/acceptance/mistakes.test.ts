/**
 * Mistakes that people ask about in public, one configuration each: `check` names it, and what it
 * says to do mends it. The servers are practice servers, which do what a provider does; the remedies are run as they
 * are printed, with Debian's postconf and postmap, since they have to work before anybody has changed over.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { check } from "../../src/cli/check.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { makeCertificate } from "../../src/practice/certificate.ts";
import { type PracticeOptions, type PracticeServer, startPracticeServer } from "../../src/practice/practice-server.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { needs } from "../lab/needs.ts";

const able = needs({ root: true, programs: ["postconf", "postmap"] });

interface JsonFinding {
  readonly code: string;
  readonly severity: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly why: string;
  readonly remedy: string;
  readonly commands: readonly string[];
}

interface Mistake {
  readonly called: string;
  /** The code of the finding that names it. */
  readonly found: string;
  readonly status: 0 | 1 | 78;
  /** Over the sound configuration; undefined takes a parameter out. */
  readonly mainCf?: (place: Place) => Readonly<Record<string, string | undefined>>;
  /** The source of the password table. */
  readonly passwords?: (place: Place) => string;
  readonly server?: Partial<PracticeOptions>;
  /** Done when everything is in place. */
  readonly spoil?: (place: Place) => void;
  /** What a person does, where the remedy leaves something to decide. Otherwise its commands are run. */
  readonly mend?: (place: Place) => void;
  /** The file that is named, relative to the directory; main.cf unless given. */
  readonly file?: string;
}

interface Place {
  readonly directory: string;
  readonly nexthop: string;
  readonly port: number;
  readonly set: (parameters: Readonly<Record<string, string>>) => void;
}

const passwordFile = ({ directory }: Place): string => join(directory, "sasl_passwd");
const expired = makeCertificate({ names: ["localhost"], notBefore_ms: Date.UTC(2020, 0, 1), days: 30 });
const ofAnother = makeCertificate({ names: ["elsewhere.example"], notBefore_ms: Date.now() - 3_600_000, days: 30 });

const shortLived = makeCertificate({ names: ["localhost"], notBefore_ms: Date.now() - 3_600_000, days: 5 });

/** A server that has no logins at all. */
const withoutAuth: PracticeOptions["script"] = ({ verb, secured }) =>
  verb === "EHLO"
    ? { reply: secured ? "250-localhost\r\n250 SIZE 1000000" : "250-localhost\r\n250 STARTTLS" }
    : undefined;

const mistakes: readonly Mistake[] = [
  {
    called: "no mechanism available: a provider with PLAIN and LOGIN only, and the default security options",
    found: "no-mechanism",
    status: 78,
    mainCf: () => ({ smtp_sasl_tls_security_options: undefined }),
    server: { mechanisms: ["PLAIN", "LOGIN"] },
  },
  {
    called: "no mechanism available: a filter that keeps out what is offered",
    found: "no-mechanism",
    status: 78,
    mainCf: () => ({ smtp_sasl_mechanism_filter: "cram-md5" }),
    server: { mechanisms: ["PLAIN"] },
  },
  {
    called: "a mechanism filter that matches nothing",
    found: "filter-matches-nothing",
    status: 78,
    mainCf: () => ({ smtp_sasl_mechanism_filter: "digest-md5" }),
  },
  {
    called: "Relay access denied: a password table, and logins not switched on",
    found: "auth-disabled",
    status: 78,
    mainCf: () => ({ smtp_sasl_auth_enable: undefined }),
  },
  {
    called: "logins switched on, and no password table",
    found: "no-passwords",
    status: 78,
    mainCf: () => ({ smtp_sasl_password_maps: undefined }),
    mend: (place) => place.set({ smtp_sasl_password_maps: `hash:${passwordFile(place)}` }),
  },
  {
    called: "a table that was changed, and postmap forgotten",
    found: "table-stale",
    status: 1,
    file: "sasl_passwd",
    spoil: (place) => utimesSync(passwordFile(place), new Date(), new Date(Date.now() + 5_000)),
    mend: (place) => {
      utimesSync(passwordFile(place), new Date(), new Date(Date.now() - 5_000));
      run(`postmap hash:${passwordFile(place)}`);
    },
  },
  {
    called: "a table that was never made",
    found: "start",
    status: 78,
    spoil: (place) => rmSync(`${passwordFile(place)}.db`),
  },
  {
    called: "a key without the brackets that relayhost has",
    found: "password-key",
    status: 78,
    file: "sasl_passwd",
    passwords: ({ port }) => `localhost:${port} test:testpass\n`,
  },
  {
    called: "an entry without a colon",
    found: "password-missing",
    status: 78,
    file: "sasl_passwd",
    passwords: ({ nexthop }) => `${nexthop} testpass\n`,
    mend: (place) => rewritePasswords(place, `${place.nexthop} test:testpass\n`),
  },
  {
    called: "no entry for the relay host",
    found: "no-login",
    status: 78,
    passwords: () => "[smtp.elsewhere.example]:587 test:testpass\n",
    mend: (place) => rewritePasswords(place, `${place.nexthop} test:testpass\n`),
  },
  {
    called: "passwords that everybody can read",
    found: "passwords-readable",
    status: 1,
    file: "sasl_passwd",
    spoil: (place) => chmodSync(passwordFile(place), 0o644),
  },
  {
    called: "port 465 without wrapper mode",
    found: "port-465",
    status: 78,
    mainCf: () => ({ relayhost: "[localhost]:465" }),
  },
  {
    called: "wrapper mode on port 587",
    found: "wrapper-port",
    status: 78,
    mainCf: () => ({ relayhost: "[localhost]:587", smtp_tls_wrappermode: "yes" }),
  },
  {
    called: "wrapper mode for a server that begins in clear, on another port",
    found: "wrapper-port",
    status: 78,
    mainCf: () => ({ smtp_tls_wrappermode: "yes" }),
  },
  {
    called: "a server that speaks TLS from the first byte, and wrapper mode off",
    found: "silent",
    status: 78,
    server: { wrapper: true },
  },
  {
    called: "a CA file that is not there",
    found: "start",
    status: 78,
    mainCf: () => ({ smtp_tls_CAfile: "/etc/ssl/no-such-file.pem" }),
    mend: (place) => place.set({ smtp_tls_CAfile: join(place.directory, "ca.pem") }),
  },
  {
    called: "certificates to be verified, and no authority trusted",
    found: "no-authorities",
    status: 78,
    mainCf: () => ({ smtp_tls_CAfile: undefined }),
  },
  {
    called: "a server whose authority is not trusted",
    found: "certificate-authority",
    status: 78,
    mainCf: () => ({ smtp_tls_CAfile: "/etc/ssl/certs/ca-certificates.crt" }),
    mend: (place) => place.set({ smtp_tls_CAfile: join(place.directory, "ca.pem") }),
  },
  {
    called: "a certificate for another name",
    found: "certificate-name",
    status: 78,
    server: { certificate: ofAnother },
    mend(place) {
      const policy = join(place.directory, "tls_policy");
      writeFileSync(policy, `${place.nexthop} secure match=elsewhere.example\n`);
      run(`postmap hash:${policy}`);
      place.set({ smtp_tls_policy_maps: `hash:${policy}` });
    },
  },
  {
    called: "a certificate that has expired",
    found: "certificate-expired",
    status: 78,
    server: { certificate: expired },
    mend: (place) => place.set({ smtp_tls_security_level: "encrypt" }),
  },
  {
    called: "a refused password",
    found: "login-refused",
    status: 78,
    passwords: ({ nexthop }) => `${nexthop} test:wrong\n`,
    mend: (place) => rewritePasswords(place, `${place.nexthop} test:testpass\n`),
  },
  {
    called: "a sender that the account may not use",
    found: "sender-refused",
    status: 78,
    server: {
      script: ({ verb, argument }) =>
        verb === "MAIL" && !argument.includes("@owner.example>")
          ? { reply: "550 5.7.60 SMTP; Client does not have permissions to send as this sender" }
          : undefined,
    },
    mend(place) {
      const generic = join(place.directory, "generic");
      writeFileSync(generic, "@relay.example me@owner.example\n");
      run(`postmap hash:${generic}`);
      place.set({ smtp_generic_maps: `hash:${generic}` });
    },
  },
  {
    called: "a server that offers AUTH after STARTTLS only, and TLS switched off",
    found: "tls-needed",
    status: 78,
    mainCf: () => ({ smtp_tls_security_level: "none" }),
  },
  {
    called: "a password that would go out in clear",
    found: "password-in-clear",
    status: 1,
    mainCf: () => ({ smtp_tls_security_level: "none", smtp_sasl_security_options: "noanonymous" }),
    server: { requireTls: false, mechanisms: ["PLAIN"] },
    mend: (place) => place.set({ smtp_tls_security_level: "secure" }),
  },
  {
    called: "a server without STARTTLS where TLS is required",
    found: "tls-not-offered",
    status: 78,
    server: { certificate: false, requireTls: false },
    mend: (place) => place.set({ smtp_tls_security_level: "may" }),
  },
  {
    called: "a relay host that does not exist",
    found: "name-not-found",
    status: 78,
    mainCf: () => ({ relayhost: "[smtp.nowhere.invalid]:587" }),
    mend: (place) => place.set({ relayhost: place.nexthop }),
  },
  {
    called: "a relay host that is this host",
    found: "loop",
    status: 78,
    mainCf: () => ({ relayhost: "[relay.example]" }),
    mend: (place) => place.set({ relayhost: place.nexthop }),
  },
  {
    called: "a port on which nothing listens",
    found: "connect",
    status: 78,
    mainCf: () => ({ relayhost: "[127.0.0.1]:1" }),
    mend: (place) => place.set({ relayhost: place.nexthop }),
  },
  {
    called: "a server that turns us away at the door",
    found: "greeting",
    status: 78,
    server: {
      script: ({ verb, connection }) =>
        verb === "CONNECT" && connection === 1 ? { reply: "554 5.7.1 your address is on a block list" } : undefined,
    },
    mend: () => {},
  },
  {
    called: "a comment behind a value",
    found: "comment-in-value",
    status: 78,
    mainCf: ({ nexthop }) => ({ relayhost: `${nexthop} # my provider` }),
  },
  {
    called: "quotation marks around a value",
    found: "quotes-in-value",
    status: 78,
    mainCf: ({ nexthop }) => ({ relayhost: `"${nexthop}"` }),
  },
  {
    called: "a parameter that is misspelt",
    found: "configuration",
    status: 1,
    mainCf: ({ directory }) => ({ smtp_sasl_pasword_maps: `hash:${directory}/sasl_passwd` }),
    mend: ({ directory }) => run(`postconf -c ${directory} -X smtp_sasl_pasword_maps`),
  },
  {
    called: "a host name that every host has for itself",
    found: "hello-name",
    status: 1,
    mainCf: () => ({ myhostname: "localhost.localdomain" }),
    mend: (place) => place.set({ myhostname: "relay.example" }),
  },
  {
    called: "an open relay",
    found: "start",
    status: 78,
    mainCf: () => ({ mynetworks: "0.0.0.0/0" }),
    mend: (place) => place.set({ mynetworks: "127.0.0.0/8" }),
  },
  {
    called: "a network that is far too wide",
    found: "wide-network",
    status: 1,
    mainCf: () => ({ mynetworks: "127.0.0.0/8 203.0.0.0/8" }),
    mend: (place) => place.set({ mynetworks: "127.0.0.0/8" }),
  },
  {
    called: "a password table that everybody can change",
    found: "table-writable",
    status: 1,
    file: "sasl_passwd",
    spoil: (place) => chmodSync(passwordFile(place), 0o602),
  },
  {
    called: "a directory in which everybody can exchange the password table",
    found: "directory-writable",
    status: 1,
    file: ".",
    spoil: ({ directory }) => chmodSync(directory, 0o777),
  },
  {
    called: "a queue directory that is somebody else's",
    found: "queue-owner",
    status: 78,
    spoil: ({ directory }) => chownSync(join(directory, "spool"), 65_534, 65_534),
  },
  {
    called: "a queue directory that everybody can write to",
    found: "queue-writable",
    status: 78,
    spoil: ({ directory }) => chmodSync(join(directory, "spool"), 0o777),
  },
  {
    called: "a disk that has less room than is asked for",
    found: "queue-full",
    status: 78,
    mainCf: () => ({ queue_minfree: "900000000000000" }),
    mend: (place) => place.set({ queue_minfree: "0" }),
  },
  {
    called: "a port that another program has",
    found: "port",
    status: 78,
    file: "master.cf",
    spoil: ({ directory, port }) =>
      writeFileSync(join(directory, "master.cf"), `127.0.0.1:${port} inet n - n - - smtpd\n`),
    mend: ({ directory }) =>
      writeFileSync(join(directory, "master.cf"), `127.0.0.1:${freeEnough()} inet n - n - - smtpd\n`),
  },
  {
    called: "wrapper mode, and TLS left to chance",
    found: "wrapper-without-tls",
    status: 78,
    mainCf: () => ({ smtp_tls_wrappermode: "yes", smtp_tls_security_level: "may" }),
    server: { wrapper: true },
  },
  {
    called: "security options that no mechanism satisfies",
    found: "options-leave-nothing",
    status: 78,
    mainCf: () => ({ smtp_sasl_tls_security_options: "forward_secrecy" }),
  },
  {
    called: "logins, and TLS left to chance",
    found: "tls-not-required",
    status: 1,
    mainCf: () => ({ smtp_tls_security_level: "may" }),
  },
  {
    called: "logins, and nobody looks who is at the other end",
    found: "server-not-verified",
    status: 1,
    mainCf: () => ({ smtp_tls_security_level: "encrypt" }),
  },
  {
    called: "a login for a server that offers none",
    found: "auth-not-offered",
    status: 1,
    server: { mechanisms: [], requireAuth: false, script: withoutAuth },
    mend: (place) => place.set({ smtp_sasl_password_maps: "" }),
  },
  {
    called: "a TLS policy that cannot be read",
    found: "tls-policy",
    status: 78,
    mainCf: ({ directory }) => ({ smtp_tls_policy_maps: `texthash:${directory}/tls_policy` }),
    passwords(place) {
      writeFileSync(join(place.directory, "tls_policy"), `${place.nexthop} verry-secure\n`);
      return `${place.nexthop} test:testpass\n`;
    },
    mend: (place) => writeFileSync(join(place.directory, "tls_policy"), `${place.nexthop} secure\n`),
  },
  {
    called: "a certificate that expires soon",
    found: "certificate-expires",
    status: 0,
    server: { certificate: shortLived },
    mend: (place) => place.set({ relayhost: "", smtp_sasl_auth_enable: "no", smtp_sasl_password_maps: "" }),
  },
  {
    called: "an entry for a server to which nothing leads",
    found: "password-unused",
    status: 0,
    file: "sasl_passwd",
    passwords: ({ nexthop }) => `[mail.elsewhere.example] other:testpass\n${nexthop} test:testpass\n`,
    mend: (place) => rewritePasswords(place, `${place.nexthop} test:testpass\n`),
  },
];

function run(command: string): void {
  const { status, stdout, stderr } = spawnSync("sh", ["-ec", command], { encoding: "utf8" });
  assert.equal(status, 0, `${command}\n${stdout}${stderr}`);
}

function rewritePasswords(place: Place, text: string): void {
  writeFileSync(passwordFile(place), text);
  run(`postmap hash:${passwordFile(place)}`);
}

async function setUp(t: TestContext, mistake: Mistake): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), "postern-mistake-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const server: PracticeServer = await startPracticeServer(realRuntime(), {
    ...{ address: "127.0.0.1", port: 0, name: "localhost", users: { test: "testpass" } },
    ...mistake.server,
  });
  t.after(() => server.close());
  const place: Place = {
    ...{ directory, port: server.port, nexthop: `[localhost]:${server.port}` },
    set(parameters) {
      for (const [name, value] of Object.entries(parameters)) run(`postconf -c ${directory} -e '${name} = ${value}'`);
    },
  };
  const sound: Record<string, string | undefined> = {
    compatibility_level: "3.6",
    queue_directory: join(directory, "spool"),
    data_directory: join(directory, "data"),
    myhostname: "relay.example",
    mydestination: "",
    mynetworks: "127.0.0.0/8",
    alias_maps: "",
    alias_database: "",
    inet_protocols: "ipv4",
    smtp_host_lookup: "native",
    relayhost: place.nexthop,
    smtp_sasl_auth_enable: "yes",
    smtp_sasl_password_maps: `hash:${passwordFile(place)}`,
    smtp_sasl_tls_security_options: "noanonymous",
    smtp_tls_security_level: "secure",
    smtp_tls_CAfile: join(directory, "ca.pem"),
  };
  const main = Object.entries({ ...sound, ...mistake.mainCf?.(place) }).filter(([, value]) => value !== undefined);
  writeFileSync(join(directory, "main.cf"), main.map(([name, value]) => `${name} = ${value}\n`).join(""));
  writeFileSync(join(directory, "master.cf"), "127.0.0.1:0 inet n - n - - smtpd\n".replace(":0 ", `:${freeEnough()} `));
  writeFileSync(join(directory, "ca.pem"), server.certificate ?? expired.certificate);
  mkdirSync(join(directory, "spool"));
  const text = mistake.passwords?.(place) ?? `${place.nexthop} test:testpass\n`;
  writeFileSync(passwordFile(place), text, { mode: 0o600 });
  run(`postmap hash:${passwordFile(place)}`);
  mistake.spoil?.(place);
  return place;
}

/** A port that is bound for a moment only, and never listened on. */
let next = 20_000 + (process.pid % 10_000);
const freeEnough = (): number => next++;

async function inspected({
  directory,
}: Place): Promise<{ status: number; findings: readonly JsonFinding[]; text: string }> {
  const io = testIo({ directory, env: { PATH: process.env.PATH } });
  const status = await check(["--json", "--timeout", "2", "--show-dialogue"], io);
  const text = io.written().out.toString();
  return { status, findings: JSON.parse(text).findings, text };
}

test("a sound configuration, with a server that takes its login, is without a finding", able, async (t) => {
  const place = await setUp(t, { called: "none", found: "", status: 1 });
  const { status, findings } = await inspected(place);
  assert.deepEqual(
    findings.filter(({ severity }) => severity !== "notice"),
    [],
  );
  assert.equal(status, 0);
});

for (const mistake of mistakes) {
  test(`found, and mended by its remedy: ${mistake.called}`, able, async (t) => {
    const place = await setUp(t, mistake);
    const before = await inspected(place);
    const found = before.findings.find(({ code }) => code === mistake.found);
    assert.ok(found, `not found: ${mistake.found}\n${before.text}`);
    assert.equal(before.status, mistake.status, before.text);
    assert.equal(found.file, join(place.directory, mistake.file ?? "main.cf"), before.text);
    if (found.file.endsWith("main.cf") && found.line > 0) {
      const line = readFileSync(found.file, "utf8").split("\n")[found.line - 1];
      assert.match(line ?? "", /^\S+ = /);
    }
    // What stops a start says what to do in its text.
    if (found.code !== "start") assert.notEqual(found.remedy, "");
    if (found.code !== "start" && found.code !== "configuration") assert.notEqual(found.why, "");
    if (mistake.mend) mistake.mend(place);
    else {
      assert.notEqual(found.commands.length, 0, `a remedy without commands: ${found.remedy}`);
      for (const command of found.commands) run(command);
    }
    const after = await inspected(place);
    assert.ok(!after.findings.some(({ code, text }) => code === found.code && text === found.text), after.text);
    assert.ok(!before.text.includes("testpass") && !after.text.includes("testpass"), "a password is shown");
  });
}
