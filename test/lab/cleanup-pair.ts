import { connect } from "node:net";
import { Cleanup, type CleanupConf } from "../../src/cleanup/cleanup.ts";
import { cleanupParams } from "../../src/cleanup/params.ts";
import { defaults } from "../../src/conf/defaults.ts";
import { splitList } from "../../src/conf/param.ts";
import { globalParams } from "../../src/conf/params.ts";
import { memoryLog } from "../../src/log/log.ts";
import { routingParams } from "../../src/routing/params.ts";
import { Router, type RoutingConf } from "../../src/routing/resolve.ts";
import { realClock } from "../../src/runtime/clock.ts";
import { realFiles } from "../../src/runtime/files.ts";
import { Maps } from "../../src/table/maps.ts";
import { readIndex } from "../../src/table/read-index.ts";
import { TableSet } from "../../src/table/table-set.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";
import { type Collected, type Collector, startCollector } from "./collector.ts";
import { until } from "./until.ts";

/**
 * One Postfix with a cleanup service for each of several configurations, and our cleanup with the same: what
 * either makes of a message, for comparison. Tables are files that both read.
 */

/** Parameters of cleanup and of address rewriting, by name. "@DIRECTORY@" is where the files are. */
export type Variant = Readonly<Record<string, string>>;

export interface GivenMessage {
  /** A client on this host, or one elsewhere. */
  readonly client: "near" | "far";
  readonly sender: string;
  readonly to: readonly string[];
  /** With CRLF line ends, one character a byte. */
  readonly text: string;
}

export interface Outcome {
  readonly sender: string;
  /** Sorted; duplicates gone. */
  readonly recipients: readonly string[];
  /** Without Received: and the mark, queue ids and moments under one name; the reply where it was refused. */
  readonly text: string;
}

export interface CleanupPair {
  /** What Postfix makes of messages that a variant gets, in their order. */
  theirs(variant: string, messages: readonly GivenMessage[]): Promise<Outcome[]>;
  ours(variant: string, messages: readonly GivenMessage[]): Promise<Outcome[]>;
  readonly postfix: RunningPostfix;
  stop(): Promise<void>;
}

const addresses = { near: "127.0.0.1", far: "127.0.0.9" } as const;

const common: Variant = {
  ...{ myhostname: "mx.here.example", mydomain: "here.example", myorigin: "here.example" },
  ...{ mydestination: "here.example, mx.here.example, localhost", append_dot_mydomain: "no" },
  ...{ recipient_delimiter: "+", alias_maps: "", smtputf8_enable: "yes" },
};

export async function startCleanupPair(
  variants: Readonly<Record<string, Variant>>,
  files: Readonly<Record<string, string>>,
): Promise<CleanupPair> {
  const collector = await startCollector();
  // One port, on an address of loopback each: many ports would sooner or later be somebody else's.
  const hosts = new Map(Object.keys(variants).map((name, index) => [name, `127.0.0.${20 + index}`]));
  const main = {
    ...common,
    ...{ mynetworks: "127.0.0.0/8", smtpd_peername_lookup: "no", disable_dns_lookups: "yes" },
    ...{ local_transport: `smtp:[127.0.0.1]:${collector.port}`, relayhost: `[127.0.0.1]:${collector.port}` },
    smtpd_relay_restrictions: "permit_mynetworks, reject",
    smtp_line_length_limit: "0",
  };
  const postfix = await startPostfix({
    mainCf: main,
    masterCf: Object.entries(variants).flatMap(([name, variant]) => services(name, hosts.get(name) ?? "", variant)),
    files: Object.fromEntries(Object.entries(files).map(([name, text]) => [`etc/${name}`, text])),
  }).catch(async (error: unknown) => {
    await collector.stop();
    throw error;
  });
  const { port, log } = postfix;
  return {
    postfix,
    theirs: (name, messages) => throughRelay({ port, host: hosts.get(name) ?? "" }, collector, messages, log),
    ours: (name, messages) => throughOurs({ ...common, ...variants[name] }, postfix.directory, messages),
    async stop() {
      await postfix.stop();
      await collector.stop();
    },
  };
}

function services(name: string, host: string, variant: Variant): string[] {
  const options = Object.entries(variant).map(([each, value]) => `\n  -o { ${each} = ${value} }`);
  const own = `\n  -o cleanup_service_name=cleanup-${name}\n  -o rewrite_service_name=rewrite-${name}`;
  const clients = options.filter((each) => each.includes("local_header_rewrite_clients"));
  return [
    `${host}:@PORT@ inet n - n - - smtpd${own}${clients.join("")}`,
    `cleanup-${name} unix n - n - 0 cleanup${own}${options.join("")}`,
    `rewrite-${name} unix - - n - - trivial-rewrite${options.join("")}`,
  ];
}

/** Where a relay listens; 127.0.0.1 unless a host is given. */
export interface RelayPlace {
  readonly port: number;
  readonly host?: string;
}

/**
 * What a relay sends on to the collector, for each message: a session for near clients and one for
 * far ones; each message carries its number as a mark.
 */
export async function throughRelay(
  place: RelayPlace,
  collector: Collector,
  messages: readonly GivenMessage[],
  log: () => string,
): Promise<Outcome[]> {
  const run = `run${++runs}`;
  const replies = new Map<number, string>();
  for (const client of ["near", "far"] as const) {
    const session = await Session.open(place, addresses[client]);
    for (const [number, message] of messages.entries()) {
      if (message.client === client) replies.set(number, await session.send(marked(message, `${run}-${number}`)));
    }
    session.end();
  }
  const taken = [...replies.values()].filter((reply) => reply.startsWith("250 ")).length;
  const found = new Map<string, Collected>();
  let looked = 0;
  const allCame = (): boolean => {
    for (; looked < collector.messages.length; looked++) {
      const message = collector.messages[looked] as Collected;
      const id = markOf(message);
      if (id.startsWith(`${run}-`)) found.set(id, message);
    }
    return found.size >= taken;
  };
  await until(`${taken} messages from the relay`, allCame, { limit_s: 60, about: () => log().slice(-2000) });
  return messages.map((_, number) => {
    const collected = found.get(`${run}-${number}`);
    return collected ? outcomeOf(collected) : refusal(replies.get(number) ?? "no reply");
  });
}

/** One message to a relay: the last reply. */
export async function sendTo(place: RelayPlace, message: GivenMessage): Promise<string> {
  const session = await Session.open(place, addresses[message.client]);
  const reply = await session.send(message);
  session.end();
  return reply;
}

let runs = 0;

const mark = "X-Case-Number";

/** The mark stands behind the header that is given, where it changes nothing of what is parsed before. */
function marked(message: GivenMessage, id: string): GivenMessage {
  const line = `${mark}: ${id}\r\n`;
  const end = message.text.indexOf("\r\n\r\n");
  const text =
    end < 0 ? `${line}${message.text}` : `${message.text.slice(0, end + 2)}${line}${message.text.slice(end + 2)}`;
  return { ...message, text };
}

function markOf({ text }: { readonly text: string }): string {
  return /^X-Case-Number: (\S+)\r$/m.exec(text)?.[1] ?? "";
}

const pathOf = (command: string): string => /^<(.*?)>(?: |$)/.exec(command)?.[1] ?? command;

function outcomeOf({ mail, rcpt, text }: Collected): Outcome {
  return { sender: pathOf(mail), recipients: [...new Set(rcpt.map(pathOf))].sort(), text: masked(text) };
}

const refusal = (reply: string): Outcome => ({ sender: "", recipients: [], text: reply });

const day = /(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}(?: \(\w+\))?/g;

function masked(text: string): string {
  return text
    .replace(/^Received: [^\r]*\r\n(?:[\t ][^\r]*\r\n)*/, "")
    .replace(/^X-Case-Number: \S+\r\n/m, "")
    .replace(day, "DATE")
    .replace(/<\d{14}\.\w+@/g, "<STAMP.ID@");
}

class Session {
  readonly #socket: ReturnType<typeof connect>;
  readonly #pieces: AsyncIterator<string>;
  #buffered = "";

  private constructor(socket: ReturnType<typeof connect>) {
    this.#socket = socket;
    socket.setTimeout(60_000, () => socket.destroy(new Error("the relay does not answer")));
    this.#pieces = socket.setEncoding("latin1")[Symbol.asyncIterator]();
  }

  static async open({ port, host = "127.0.0.1" }: RelayPlace, localAddress: string): Promise<Session> {
    const session = new Session(connect({ host, port, localAddress }));
    await session.#reply();
    await session.#say("EHLO client.example");
    return session;
  }

  /** The last reply: to the end of the text, or to the command that was refused. */
  async send({ sender, to, text }: GivenMessage): Promise<string> {
    const utf8 = /[^\x00-\x7f]/.test(sender + to.join("")) ? " SMTPUTF8" : "";
    const commands = [`MAIL FROM:<${sender}>${utf8}`, ...to.map((each) => `RCPT TO:<${each}>`), "DATA"];
    this.#socket.write(commands.map((each) => `${each}\r\n`).join(""));
    const replies: string[] = [];
    for (const _ of commands) replies.push(await this.#reply());
    const refused = replies.find((reply) => !/^[23]/.test(reply));
    if (!replies.at(-1)?.startsWith("354")) {
      await this.#say("RSET");
      return refused ?? "";
    }
    return this.#say(`${text.replace(/^\./gm, "..")}.`, "latin1");
  }

  end(): void {
    this.#socket.end("QUIT\r\n");
  }

  #say(line: string, encoding: "utf8" | "latin1" = "utf8"): Promise<string> {
    this.#socket.write(`${line}\r\n`, encoding);
    return this.#reply();
  }

  async #reply(): Promise<string> {
    for (;;) {
      const [whole] = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(this.#buffered) ?? [];
      if (whole) {
        this.#buffered = this.#buffered.slice(whole.length);
        return whole.trim();
      }
      const { value, done } = await this.#pieces.next();
      if (done) throw new Error("the relay closed the connection");
      this.#buffered += value;
    }
  }
}

async function throughOurs(variant: Variant, directory: string, messages: readonly GivenMessage[]): Promise<Outcome[]> {
  const written = Object.fromEntries(
    Object.entries(variant).map(([name, value]) => [name, value.replaceAll("@DIRECTORY@", directory)]),
  );
  const cleanup = await ourCleanup(written);
  const outcomes: Outcome[] = [];
  for (const [number, given] of messages.entries()) outcomes.push(await oneOfOurs(cleanup, marked(given, `${number}`)));
  return outcomes;
}

async function ourCleanup(given: Readonly<Record<string, string>>): Promise<Cleanup> {
  const written: Record<string, string> = { local_transport: "smtp:[127.0.0.1]", virtual_alias_domains: "", ...given };
  const conf = {
    ...defaults(globalParams, written),
    ...defaults(routingParams, written),
    ...defaults(cleanupParams, written),
  };
  const set = new TableSet({
    defaultType: "hash",
    read: (path) => readIndex(realFiles, path, 1_000_000),
    modified: async () => undefined,
    warn: () => {},
  });
  const opened = new Map<string, Maps>();
  for (const word of Object.values(written).flatMap((value) => splitList(value))) {
    const reference = word.replace(/^!+/, "");
    if (/^[a-z]+:/.test(reference)) opened.set(reference, await set.maps([reference], { foldCase: true }));
  }
  const router = new Router(conf as unknown as RoutingConf, {
    maps: (references) => new Maps(references.flatMap((each) => opened.get(each)?.slots ?? [])),
    file: () => undefined,
    ownAddress: (address) => address === "127.0.0.1",
    include: () => ({ kind: "refused", why: "is not there" }),
  });
  const store = {
    nextId: () => "NEW",
    beginBody(): never {
      throw new Error("these messages are small");
    },
  };
  return new Cleanup({ conf: conf as unknown as CleanupConf, router, store, clock: realClock, log: memoryLog() });
}

async function oneOfOurs(cleanup: Cleanup, { client, sender, to, text }: GivenMessage): Promise<Outcome> {
  const address = addresses[client];
  const message = cleanup.begin({
    id: "ID",
    arrival_ms: Date.now(),
    origin: {
      service: "smtpd",
      client: `unknown[${address}]`,
      helo: "client.example",
      protocol: "ESMTP",
      saslUsername: "",
    },
    received: {
      ...{ kind: "smtp", helo: "client.example", name: "unknown", address, protocol: "ESMTP" },
      ...{ tls: undefined, authenticated: false },
    },
    sender,
    recipients: to.map((each) => ({ address: each, notify: undefined, orcpt: undefined })),
    local: client === "near",
    smtputf8: /[^\x00-\x7f]/.test(sender + to.join("")),
    ...{ envid: undefined, ret: undefined },
  });
  await message.data(Buffer.from(text, "latin1"));
  const result = await message.finish();
  if (result.kind === "reject") return refusal(`${result.reply.code} ${result.reply.enhanced} ${result.reply.text}`);
  if (result.kind === "discarded") return refusal("discarded");
  const [{ envelope, body }] = result.messages;
  return {
    sender: envelope.sender,
    recipients: [...new Set(envelope.recipients.map((each) => each.address))].sort(),
    text: masked(body.toString()),
  };
}
