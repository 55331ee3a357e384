/**
 * Deliveries by Debian's Postfix and by our client, compared: both take the same message to servers that answer
 * in the same way, and what comes of each recipient, what is logged about it, and what the server was told has to be
 * the same. Each case is a transport of its own in one private Postfix. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realNet } from "../../src/runtime/net.ts";
import { lmtpName } from "../../src/smtp/lmtp-params.ts";
import { requestTo, testClient, type Written } from "../../src/smtp/testing/client.ts";
import { type Script, ScriptedServer } from "../../src/smtp/testing/scripted-server.ts";
import { until } from "../lab/until.ts";
import { makePlace, missing } from "../peers/place.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";

export interface DeliveryCase {
  readonly script: Script | "refuse";
  /** As the client knows them: smtp_…, with LMTP too. "PORT" is replaced by the server's port. */
  readonly conf?: Written;
  /** Where the server is, "PORT" and "PATH" replaced. */
  readonly hop?: string;
  readonly to?: readonly string[];
  readonly password?: string;
}

/** The hop of a case whose server is at a Unix socket. */
export const unixSocket = "unix:PATH";

export interface Comparison {
  readonly protocol: "smtp" | "lmtp";
  readonly cases: Readonly<Record<string, DeliveryCase>>;
  /** What the client has otherwise than by default, and Postfix by default, with this protocol. */
  readonly conf: Written;
  /** Parameters for Postfix alone. */
  readonly mainCf?: Readonly<Record<string, string>>;
  /** More services for Postfix. */
  readonly masterCf?: readonly string[];
  /** Addresses of our own. */
  readonly self?: readonly string[];
}

interface Listening {
  readonly server: ScriptedServer | undefined;
  readonly port: number;
  readonly path: string;
}

interface Outcome {
  readonly results: readonly string[];
  /** Recipients that were passed on to another transport. */
  readonly passed: readonly string[];
  readonly told: readonly string[];
  readonly taken: readonly string[];
}

const text = "Subject: test\n\nhello\n.dot\n";
const headers = "Date: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-Id: <x@sender.test>\nFrom: from@sender.test\n";

/** Makes one test of each case. */
export function compareDeliveries({ protocol, cases, conf: usual, mainCf, masterCf: more, self }: Comparison): void {
  const skip = missing("postfix") ?? false;
  const names = Object.keys(cases);
  const domainOf = (name: string): string => `c${names.indexOf(name)}.test`;
  const serviceOf = (name: string): string => `s${names.indexOf(name)}`;

  const usualHop = protocol === "lmtp" ? "inet:127.0.0.1:PORT" : "[127.0.0.1]:PORT";
  const nameOf = (parameter: string): string => (protocol === "lmtp" ? lmtpName(parameter) : parameter);
  const always: Written = { smtp_host_lookup: "native", smtp_connection_cache_on_demand: "no" };
  let postfix: RunningPostfix | undefined;
  let place: ReturnType<typeof makePlace> | undefined;
  const theirServers = new Map<string, Listening>();

  async function listen(name: string, whose: "ours" | "theirs"): Promise<Listening> {
    const { script, hop = "" } = cases[name] as DeliveryCase;
    const path = join(place?.directory ?? "", whose, serviceOf(name));
    if (script === "refuse") return { server: undefined, port: 1, path };
    const server = new ScriptedServer({ lmtp: protocol === "lmtp", ...script });
    await server.listen(realNet, 0, hop === unixSocket ? path : "127.0.0.1");
    // Anybody may connect who may write there.
    if (hop === unixSocket) chmodSync(path, 0o777);
    return { server, port: server.port, path };
  }

  const placed = (text: string, { port, path }: Listening): string =>
    text.replaceAll("PORT", String(port)).replaceAll("PATH", path);

  before(async () => {
    if (skip) return;
    place = makePlace(protocol);
    for (const whose of ["ours", "theirs"]) mkdirSync(join(place.directory, whose), { mode: 0o755 });
    const masterCf: string[] = [];
    let transports = "";
    for (const [name, { hop = usualHop, conf = {}, password }] of Object.entries(cases)) {
      const at = await listen(name, "theirs");
      theirServers.set(name, at);
      transports += `${domainOf(name)} ${serviceOf(name)}:${placed(hop, at)}\n`;
      const options = Object.entries(conf).map(([parameter, value]) => [nameOf(parameter), placed(value, at)] as const);
      if (password) options.push([nameOf("smtp_sasl_password_maps"), `inline:{{127.0.0.1=${password}}}`]);
      const lines = options.map(([parameter, value]) => `  -o { ${parameter} = ${value} }\n`);
      masterCf.push(`${serviceOf(name)} unix - - n - - ${protocol}\n${lines.join("")}`);
    }
    postfix = await startPostfix({
      mainCf: {
        ...{ myhostname: "relay.test", transport_maps: "texthash:@DIRECTORY@/etc/t", notify_classes: "" },
        ...Object.fromEntries(Object.entries(always).map(([parameter, value]) => [nameOf(parameter), value])),
        ...mainCf,
      },
      masterCf: [...masterCf, ...(more ?? [])],
      files: { "etc/t": `${transports}sender.test discard:\n` },
    });
  });

  after(async () => {
    await postfix?.stop();
    for (const { server } of theirServers.values()) await server?.close();
    place?.remove();
  });

  const recipientsOf = (name: string): string[] =>
    (cases[name]?.to ?? ["a"]).map((user) => `${user}@${domainOf(name)}`);
  const line = /^(?:.*postfix\/)?(\w+).*: to=<([^>]*)>.*, relay=([^,]*), .*dsn=([\d.]+), status=(\S+) \((.*)\)$/gm;

  function outcome(log: string, name: string, at: Listening): Outcome {
    const neutral = (text: string): string =>
      text
        .replaceAll(at.path, "PATH")
        .replace(new RegExp(`:${at.port}\\b`, "g"), ":PORT")
        .replace(/ SIZE=\d+|message size \d+/, " SIZE=N");
    // What another transport writes of those that were passed on to it may come later.
    const lines = [...log.matchAll(line)].filter(([, service]) => service === protocol);
    const results = lines.filter(([, , to = ""]) => recipientsOf(name).includes(to));
    const passing = [...log.matchAll(/: (passing <([^>]*)> to transport=\w+)$/gm)];
    return {
      passed: passing.filter(([, , to = ""]) => recipientsOf(name).includes(to)).map(([, words = ""]) => words),
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
    const answered = (): number => {
      const { results, passed } = outcome(log(), name, at);
      return results.length + passed.length;
    };
    await until("every recipient has a line", () => answered() >= count, { about });
    await hungUp(at);
    return outcome(log(), name, at);
  }

  async function throughOurs(name: string): Promise<Outcome> {
    const { conf = {}, hop = usualHop, password } = cases[name] as DeliveryCase;
    const at = await listen(name, "ours");
    const written = Object.fromEntries(
      Object.entries(conf).map(([parameter, value]) => [parameter, placed(value, at)]),
    );
    const { client, log } = testClient(
      { ...always, ...usual, ...written },
      {
        ...{ protocol, queueDirectory: join(postfix?.directory ?? "", "queue"), self: self ?? [] },
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

  for (const name of names) {
    test(`as Postfix: ${name}`, { skip }, async () => {
      const [theirs, ours] = await Promise.all([throughPostfix(name), throughOurs(name)]);
      assert.deepEqual(ours, theirs);
    });
  }
}
