/**
 * Deliveries by LMTP beside Debian's Postfix: both take the same message to servers that answer in the same
 * way, over TCP and over Unix sockets, and what comes of each recipient, what is logged about it, and what the
 * server was told is compared. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realNet } from "../../src/runtime/net.ts";
import { lmtpName } from "../../src/smtp/lmtp-params.ts";
import { requestTo, testClient, type Written } from "../../src/smtp/testing/client.ts";
import { type Answer, type Script, ScriptedServer } from "../../src/smtp/testing/scripted-server.ts";
import { until } from "../lab/until.ts";
import { makePlace, missing } from "../peers/place.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";

const why = missing("postfix");
const skip = why ?? false;

interface Case {
  readonly script: Script | "refuse";
  readonly conf?: Written;
  /** Where the server is, "PORT" and "PATH" replaced. */
  readonly hop?: string;
  readonly to?: readonly string[];
  readonly password?: string;
  /** Why the two differ, and how ours begins instead. */
  readonly differs?: { readonly because: string; readonly ours: RegExp };
}

const offering = (...words: string[]): Answer => ["scripted.test", "PIPELINING", ...words];
const three = ["a", "b", "c"];
/** Answers by the recipient's place in the message. */
const each = (...answers: Answer[]): Script => ({ dot: (index) => answers[index] ?? "250 2.1.5 Ok" });
const socket = "unix:PATH";

const cases: Readonly<Record<string, Case>> = {
  accepted: { script: {} },
  "accepted for three": { script: each("250 2.0.0 one", "250 2.0.0 two", "250 2.0.0 three"), to: three },
  "accepted without pipelining": { script: { ehlo: ["scripted.test"] }, to: three },
  "one of three refused at the end": { script: each("250 2.1.5 in", "550 5.2.2 full", "250 2.1.5 in"), to: three },
  "one of three put off at the end": { script: each("250 2.1.5 in", "452 4.2.2 full", "250 2.1.5 in"), to: three },
  "all refused at the end": { script: { dot: "554 5.6.0 no" }, to: three },
  "refused at RCPT and at the end": {
    script: {
      ...each("550 5.2.2 full", "250 2.1.5 in"),
      on: { RCPT: (_line, count) => (count === 1 ? "550 5.1.1 nobody" : undefined) },
    },
    to: three,
  },
  "all refused at RCPT": { script: { on: { RCPT: "550 5.1.1 nobody" } }, to: three },
  "all refused at RCPT, and DATA goes on": {
    script: { on: { RCPT: "550 5.1.1 nobody", DATA: "354 go" } },
  },
  "MAIL refused": { script: { on: { MAIL: "550 5.7.1 no" } }, to: three },
  "DATA refused": { script: { on: { DATA: "451 4.3.0 later" } }, to: three },
  "several lines at the end": {
    script: each({ raw: "250-2.0.0 one\r\n250 2.0.0 more\r\n" }, { raw: "550-5.1.1 no\r\n550 5.1.1 more\r\n" }),
    to: ["a", "b"],
  },
  "dropped between the answers": { script: each("250 2.0.0 one", "DROP"), to: three },
  "silent between the answers": {
    script: each("250 2.0.0 one", "SILENCE"),
    conf: { smtp_data_done_timeout: "1s" },
    to: three,
  },
  "LHLO refused": { script: { ehlo: "500 5.5.1 what" } },
  "LHLO put off": { script: { ehlo: "421 4.3.2 closing" } },
  "dropped at LHLO": { script: { ehlo: "DROP" } },
  "silent at LHLO": { script: { ehlo: "SILENCE" }, conf: { smtp_helo_timeout: "1s" } },
  "greeting refused": { script: { greeting: "554 5.7.1 go away" } },
  "greeting refused for good": { script: { greeting: "554 5.7.1 go away" }, conf: { smtp_skip_5xx_greeting: "no" } },
  "a greeting without ESMTP": { script: { greeting: "220 here" } },
  "our own name is no loop": { script: { greeting: "220 relay.test", ehlo: ["relay.test", "PIPELINING"] } },
  "another name of ours": { script: {}, conf: { smtp_helo_name: "other.test" } },
  "larger than SIZE": { script: { ehlo: offering("SIZE 10") } },
  "DSN and SIZE": { script: { ehlo: offering("DSN", "SIZE", "8BITMIME") }, to: ["a", "b"] },
  "keywords discarded": {
    script: { ehlo: offering("SIZE 10") },
    conf: { smtp_discard_ehlo_keywords: "size, silent-discard" },
  },
  "nobody there": { script: "refuse" },
  "as inet:[host]:port": { script: {}, hop: "inet:[127.0.0.1]:PORT" },
  "as host:port": { script: {}, hop: "127.0.0.1:PORT" },
  "as [host]:port": { script: {}, hop: "[127.0.0.1]:PORT" },
  "the second of two": { script: {}, hop: "inet:[127.0.0.1]:1, 127.0.0.1:PORT" },
  "a fallback relay": {
    script: {},
    hop: "inet:[127.0.0.1]:1",
    conf: { smtp_fallback_relay: "[127.0.0.1]:PORT" },
  },
  "a Unix socket": { script: each("250 2.1.5 in", "550 5.2.2 full"), hop: socket, to: ["a", "b"] },
  "a Unix socket that is not there": { script: "refuse", hop: socket },
  "a Unix socket below the queue directory": { script: "refuse", hop: "unix:private/nothing" },
  "a login": {
    script: { ehlo: offering("AUTH PLAIN"), on: { AUTH: "235 2.7.0 in" } },
    conf: { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" },
    password: "user:secret",
  },
  "TLS demanded and not offered": { script: {}, conf: { smtp_tls_security_level: "encrypt" } },
};

const names = Object.keys(cases);
const domainOf = (name: string): string => `c${names.indexOf(name)}.test`;
const serviceOf = (name: string): string => `l${names.indexOf(name)}`;

let postfix: RunningPostfix | undefined;
let place: ReturnType<typeof makePlace> | undefined;
const theirServers = new Map<string, Listening>();

interface Listening {
  readonly server: ScriptedServer | undefined;
  readonly port: number;
  readonly path: string;
}

async function listen(name: string, whose: "ours" | "theirs"): Promise<Listening> {
  const { script, hop = "" } = cases[name] as Case;
  const path = join(place?.directory ?? "", whose, serviceOf(name));
  if (script === "refuse") return { server: undefined, port: 1, path };
  const server = new ScriptedServer({ lmtp: true, ...script });
  await server.listen(realNet, 0, hop === socket ? path : "127.0.0.1");
  // Anybody may connect who may write there.
  if (hop === socket) chmodSync(path, 0o777);
  return { server, port: server.port, path };
}

const placed = (text: string, { port, path }: Listening): string =>
  text.replaceAll("PORT", String(port)).replaceAll("PATH", path);

before(async () => {
  if (why) return;
  place = makePlace("lmtp");
  for (const whose of ["ours", "theirs"]) mkdirSync(join(place.directory, whose), { mode: 0o755 });
  const masterCf: string[] = [];
  let transports = "";
  for (const [name, { hop = "inet:127.0.0.1:PORT", conf = {}, password }] of Object.entries(cases)) {
    const at = await listen(name, "theirs");
    theirServers.set(name, at);
    transports += `${domainOf(name)} ${serviceOf(name)}:${placed(hop, at)}\n`;
    const options = Object.entries(conf).map(([parameter, value]) => [lmtpName(parameter), placed(value, at)] as const);
    if (password) options.push(["lmtp_sasl_password_maps", `inline:{{127.0.0.1=${password}}}`]);
    const lines = options.map(([parameter, value]) => `  -o { ${parameter} = ${value} }\n`);
    masterCf.push(`${serviceOf(name)} unix - - n - - lmtp\n${lines.join("")}`);
  }
  postfix = await startPostfix({
    mainCf: {
      ...{ myhostname: "relay.test", transport_maps: "texthash:@DIRECTORY@/etc/t", notify_classes: "" },
      ...{ lmtp_host_lookup: "native", lmtp_connection_cache_on_demand: "no" },
    },
    masterCf,
    files: { "etc/t": `${transports}sender.test discard:\n` },
  });
});

after(async () => {
  await postfix?.stop();
  for (const { server } of theirServers.values()) await server?.close();
  place?.remove();
});

const recipientsOf = (name: string): string[] => (cases[name]?.to ?? ["a"]).map((user) => `${user}@${domainOf(name)}`);
const text = "Subject: test\n\nhello\n.dot\n";
const headers = "Date: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-Id: <x@sender.test>\nFrom: from@sender.test\n";

interface Outcome {
  readonly results: readonly string[];
  readonly told: readonly string[];
  readonly taken: readonly string[];
}

const line = /^.*(lmtp).*: to=<([^>]*)>.*, relay=([^,]*), .*dsn=([\d.]+), status=(\S+) \((.*)\)$/gm;

function outcome(log: string, name: string, at: Listening): Outcome {
  const neutral = (text: string): string =>
    text
      .replaceAll(at.path, "PATH")
      .replace(new RegExp(`:${at.port}\\b`, "g"), ":PORT")
      .replace(/ SIZE=\d+|message size \d+/, " SIZE=N");
  const results = [...log.matchAll(line)].filter(([, , to = ""]) => recipientsOf(name).includes(to));
  return {
    results: results.map((found) => neutral(found.slice(1).join(" "))).sort(),
    told: at.server?.conversations.flat().map(neutral) ?? [],
    taken: at.server?.messages.map(({ data }) => data.replace(/^[\s\S]*?(?=Subject:)/, "")) ?? [],
  };
}

async function throughPostfix(name: string): Promise<Outcome> {
  const { directory, log } = postfix as RunningPostfix;
  const at = theirServers.get(name) as Listening;
  const args = ["-C", join(directory, "etc"), "-i", "-f", "from@sender.test", ...recipientsOf(name)];
  const { status, stderr } = spawnSync("sendmail", args, { input: headers + text });
  assert.equal(status, 0, String(stderr));
  const count = recipientsOf(name).length;
  const about = () => log().slice(-2000);
  await until("every recipient has a line", () => outcome(log(), name, at).results.length >= count, { about });
  await hungUp(at);
  return outcome(log(), name, at);
}

async function throughOurs(name: string): Promise<Outcome> {
  const { conf = {}, hop = "inet:127.0.0.1:PORT", password } = cases[name] as Case;
  const at = await listen(name, "ours");
  const written = Object.fromEntries(Object.entries(conf).map(([parameter, value]) => [parameter, placed(value, at)]));
  const { client, log } = testClient(
    {
      ...{ smtp_connection_cache_on_demand: "no", smtp_tcp_port: "24", smtp_host_lookup: "native" },
      ...{ smtp_skip_quit_response: "no", ...written },
    },
    {
      protocol: "lmtp",
      queueDirectory: join(postfix?.directory ?? "", "queue"),
      passwords: password ? { "127.0.0.1": password } : {},
    },
  );
  const to = recipientsOf(name);
  await client.deliver(
    requestTo(placed(hop, at), { sender: "from@sender.test", to, body: (headers + text).replaceAll("\n", "\r\n") }),
  );
  await client.close();
  await hungUp(at);
  await at.server?.close();
  return outcome(log.lines.join("\n"), name, at);
}

/** QUIT may still be on its way. */
async function hungUp({ server }: Listening): Promise<void> {
  if (!server) return;
  await until("the client has hung up", () => server.connections.size === 0, { limit_s: 20 });
}

for (const [name, { differs }] of Object.entries(cases)) {
  test(`as Postfix: ${name}${differs ? ` (but: ${differs.because})` : ""}`, { skip }, async () => {
    const [theirs, ours] = await Promise.all([throughPostfix(name), throughOurs(name)]);
    if (differs) {
      for (const result of ours.results) assert.match(result, differs.ours);
      assert.notDeepEqual(ours.results, theirs.results, "the difference is gone: the list should say so");
      return;
    }
    assert.deepEqual(ours, theirs);
  });
}
