/**
 * Asks one next hop what mail would meet there, the way mail would: the same look-ups, the same
 * policy, the same session; up to MAIL FROM, and no further. No mail is sent.
 *
 * Hosts are tried in the order of a delivery, until one would take mail. Every wait has an end:
 * the time-outs of main.cf, cut to `patience_s`.
 */
import { findHosts, type HostsFailure, type MailHost } from "../dns/hosts.ts";
import { type NextHopAddress, parseNextHop } from "../dns/nexthop.ts";
import { createLog, type Log } from "../log/log.ts";
import { formatPath } from "../rfc5321/path.ts";
import type { ServerReply } from "../rfc5321/reply-parser.ts";
import type { Clock } from "../runtime/clock.ts";
import type { TlsFacts } from "../runtime/net.ts";
import type { SaslProperty } from "../sasl/mechanism.ts";
import type { Selected } from "../sasl/select.ts";
import { type Credentials, findCredentials } from "../smtp/credentials.ts";
import type { Failure } from "../smtp/failure.ts";
import type { Features } from "../smtp/features.ts";
import { type Opened, openSession } from "../smtp/opening.ts";
import type { SmtpParts } from "../smtp/parts.ts";
import { relayText, type Session } from "../smtp/session.ts";
import type { OpeningWatch } from "../smtp/watch.ts";
import { breakText, replyText } from "../smtp/words.ts";
import type { Answer } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import type { InvalidPolicy, TlsPolicy } from "../tls/policy.ts";
import type { Verdict } from "../tls/verify.ts";
import type { NextHopUse } from "./next-hops.ts";

/** One thing that was done, what came of it, and how long it took. */
export interface Step {
  readonly name: "resolve" | "connect" | "greeting" | "hello" | "starttls" | "login" | "mail" | "reset";
  readonly ok: boolean;
  readonly text: string;
  readonly ms: number;
}

/** One line of the conversation; what went into AUTH is masked. */
export interface Spoken {
  readonly by: "us" | "server" | "tls";
  readonly line: string;
}

export interface HostProbe {
  readonly host: MailHost;
  readonly steps: readonly Step[];
  readonly dialogue: readonly Spoken[];
  readonly policy: TlsPolicy;
  readonly tls: { readonly facts: TlsFacts; readonly verdict: Verdict } | undefined;
  readonly features: Features | undefined;
  readonly selected: { readonly by: Selected; readonly required: ReadonlySet<SaslProperty> } | undefined;
  /** There is an entry for this server in the password table; whether it was used, the steps tell. */
  readonly username: string | undefined;
  readonly failure: ProbeFailure | undefined;
}

/** Where it ended. */
export interface ProbeFailure {
  readonly at: Step["name"];
  readonly failure: Failure;
}

export interface HopProbe {
  readonly use: NextHopUse;
  readonly sender: string;
  readonly hop: NextHopAddress | undefined;
  readonly steps: readonly Step[];
  readonly hosts: readonly HostProbe[];
  /** Why no host was asked. */
  readonly lookup: HostsFailure | undefined;
  readonly policy: InvalidPolicy | undefined;
  readonly ms: number;
}

/** A quiet place for what a delivery would write into the log. */
export const silent = (clock: Clock): Log =>
  createLog({ sink: () => {}, now: () => clock.now(), service: "check", slot: 0, tag: "postfix" });

export async function probeHop(
  use: NextHopUse,
  internal: string,
  given: SmtpParts,
  patience_s: number,
): Promise<HopProbe> {
  const parts = impatient(given, patience_s);
  const { clock, names, random } = parts.runtime;
  const begun_ms = clock.monotonic();
  const sender = await outside(internal, parts);
  const base = { use, sender, steps: [], hosts: [], lookup: undefined, policy: undefined, hop: undefined };
  const hop = parseNextHop(use.nexthop, parts.conf.smtp_tcp_port);
  if ("error" in hop) return { ...base, ms: 0 };
  const found = await findHosts(hop, {
    names,
    random,
    conf: parts.conf,
    self: parts.self,
    log: silent(clock),
  });
  const resolved: Step = {
    name: "resolve",
    ok: found.kind === "hosts",
    text: found.kind === "hosts" ? found.hosts.map(relayText).join(", ") : found.text,
    ms: clock.monotonic() - begun_ms,
  };
  const ended = (rest: Partial<HopProbe>): HopProbe => ({
    ...base,
    ...{ hop, steps: [resolved] },
    ...rest,
    ms: clock.monotonic() - begun_ms,
  });
  if (found.kind === "failure") return ended({ lookup: found });
  const policy = await parts.policies.find(hop.written);
  if (policy.kind === "invalid") return ended({ policy });
  const hosts: HostProbe[] = [];
  for (const host of found.hosts) {
    const probed = await probeHost({ host, hop, policy, sender, parts, patience_s });
    hosts.push(probed);
    if (!probed.failure) break;
  }
  return ended({ hosts });
}

/** The sender as the server is told it (smtp_generic_maps). A table that cannot tell defers mail, and has said so when it was opened. */
async function outside(sender: string, { generic }: SmtpParts): Promise<string> {
  try {
    return (await generic?.find(sender))?.[0] ?? sender;
  } catch (error) {
    if (error instanceof TableError) return sender;
    throw error;
  }
}

/** Nobody waits five minutes for a greeting at a terminal. */
function impatient(parts: SmtpParts, patience_s: number): SmtpParts {
  const cut = (seconds: number): number => (seconds > 0 ? Math.min(seconds, patience_s) : patience_s);
  const { conf } = parts;
  return {
    ...parts,
    conf: {
      ...conf,
      smtp_connect_timeout: cut(conf.smtp_connect_timeout),
      smtp_helo_timeout: cut(conf.smtp_helo_timeout),
      smtp_starttls_timeout: cut(conf.smtp_starttls_timeout),
      smtp_mail_timeout: cut(conf.smtp_mail_timeout),
      smtp_rset_timeout: cut(conf.smtp_rset_timeout),
      smtp_quit_timeout: cut(conf.smtp_quit_timeout),
    },
  };
}

interface HostRequest {
  readonly host: MailHost;
  readonly hop: NextHopAddress;
  readonly policy: TlsPolicy;
  readonly sender: string;
  readonly parts: SmtpParts;
  readonly patience_s: number;
}

async function probeHost(request: HostRequest): Promise<HostProbe> {
  const { host, hop, policy, sender, parts } = request;
  const { clock } = parts.runtime;
  const recorder = new Recorder(() => clock.monotonic());
  let username: string | undefined;
  const credentials = async (): Promise<Credentials | undefined> => {
    const found = await credentialsFor(request);
    username = shownName(found);
    return found;
  };
  const opened: Opened = await openSession(
    {
      ...{ host, hop, nexthop: hop.written, bestHost: true, policy, inClear: false, needsSmtpUtf8: false },
      ...{ queueId: "NOQUEUE", credentials, log: silent(clock), watch: recorder },
    },
    parts,
  );
  const facts = () => ({
    ...{ host, policy, username, steps: recorder.steps, dialogue: recorder.dialogue },
    ...{ tls: recorder.tls, features: recorder.features, selected: recorder.selected },
  });
  if (opened.kind === "failed") {
    // EHLO went well; what is missing is TLS.
    const at = recorder.failed(opened.failure.reason, opened.failure.dsn === "4.7.4" ? "starttls" : undefined);
    // A server without AUTH has not been asked for a login: whether there is one still matters.
    if (username === undefined) username = shownName(await credentialsFor(request).catch(() => undefined));
    return { ...facts(), failure: { at, failure: opened.failure } };
  }
  const { session } = opened;
  recorder.features = session.facts.features;
  recorder.opened();
  if (username === undefined) username = shownName(await credentialsFor(request).catch(() => undefined));
  const failure = await offerSender(session, sender, parts.conf.smtp_mail_timeout, recorder);
  if (!failure && (await session.reset(parts.conf.smtp_rset_timeout))) recorder.step("reset", "RSET");
  session.quit();
  return { ...facts(), failure };
}

/** Where there is no password, what stands for the user's name may be one. */
function shownName(found: Credentials | undefined): string | undefined {
  return found?.password === "" ? "an entry without a password" : found?.username;
}

function credentialsFor({
  host,
  hop,
  sender,
  parts: { conf, passwords },
}: HostRequest): Promise<Credentials | undefined> {
  const question = {
    sender: conf.smtp_sender_dependent_authentication ? sender : "",
    host: host.name,
    nexthop: hop.written,
    recipientDelimiter: conf.recipient_delimiter,
    resultDelimiter: conf.smtp_sasl_password_result_delimiter,
  };
  const find = (): Answer<Credentials | undefined> =>
    conf.smtp_sasl_auth_enable && !passwords.empty ? findCredentials(passwords, question) : undefined;
  return (async () => find())();
}

/** MAIL FROM: may we send as this sender? */
async function offerSender(
  session: Session,
  sender: string,
  seconds: number,
  recorder: Recorder,
): Promise<ProbeFailure | undefined> {
  const command = `MAIL FROM:${formatPath(sender)}`;
  recorder.said(command);
  const answer = await ask(session, command, seconds);
  if (typeof answer === "string") {
    const { dsn, reason } = breakText(answer, session.server, "sending MAIL FROM");
    return { at: recorder.failed(reason), failure: { dsn, reason, reply: undefined, about: "destination" } };
  }
  recorder.heard({ ...answer, lines: answer.lines.map((line) => session.mask(line)) });
  const text = session.mask(replyText(answer));
  if (answer.code >= 200 && answer.code < 300) {
    recorder.step("mail", text);
    return undefined;
  }
  const failure: Failure = {
    dsn: answer.enhanced,
    reason: `${session.server} said: ${text}`,
    reply: text,
    about: "message",
  };
  recorder.failed(failure.reason, "mail");
  return { at: "mail", failure };
}

type Gone = Parameters<typeof breakText>[0];

function ask(session: Session, command: string, seconds: number): Promise<ServerReply | Gone> {
  const { dialogue } = session.facts;
  return new Promise((resolve) => {
    dialogue.attend({
      onReply(reply) {
        dialogue.leave();
        resolve(reply);
      },
      onJunk() {},
      onDrained() {},
      onBreak: resolve,
    });
    dialogue.within(seconds);
    dialogue.turn();
    dialogue.send(`${command}\r\n`);
  });
}

/** Writes down what the opening of a session tells, as steps and as a conversation. */
class Recorder implements OpeningWatch {
  readonly steps: Step[] = [];
  readonly dialogue: Spoken[] = [];
  tls: HostProbe["tls"];
  selected: HostProbe["selected"];
  features: Features | undefined;
  readonly #now: () => number;
  #since: number;
  #doing: Step["name"] = "connect";

  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  step(name: Step["name"], text: string): void {
    this.#add(name, true, text);
  }

  /** It ended with what was being done, or with `name`. */
  failed(text: string, name: Step["name"] = this.#doing): Step["name"] {
    this.#add(name, false, text);
    return name;
  }

  connected(): void {
    this.#add("connect", true, "connected");
    this.#doing = "greeting";
  }

  said(line: string): void {
    this.dialogue.push({ by: "us", line });
    if (/^(?:EHLO|HELO) /.test(line)) this.#doing = "hello";
    else if (line === "STARTTLS") this.#doing = "starttls";
    else if (line.startsWith("MAIL ")) this.#doing = "mail";
  }

  heard(reply: ServerReply): void {
    for (const [index, line] of reply.lines.entries()) {
      this.dialogue.push({ by: "server", line: `${reply.code}${index < reply.lines.length - 1 ? "-" : " "}${line}` });
    }
    if (reply.code >= 400) return;
    if (this.#doing === "greeting") this.#add("greeting", true, reply.lines[0] ?? "");
    else if (this.#doing === "hello") this.#add("hello", true, offers(reply));
  }

  secured(facts: TlsFacts, verdict: Verdict): void {
    this.tls = { facts, verdict };
    const about = `${facts.protocol}, ${facts.cipher}, certificate for ${facts.certificate?.names.join(", ") ?? "nobody"}`;
    this.dialogue.push({ by: "tls", line: about });
    this.#add("starttls", true, `${about}: ${verdict.status}`);
    // With TLS from the first byte on, the greeting is still to come.
    if (!this.steps.some(({ name }) => name === "greeting")) this.#doing = "greeting";
  }

  notSecured(words: string): void {
    this.dialogue.push({ by: "tls", line: words });
    this.#doing = "starttls";
  }

  chosen(by: Selected, required: ReadonlySet<SaslProperty>): void {
    this.selected = { by, required };
    this.#doing = "login";
  }

  noCredentials(): void {
    this.#doing = "mail";
  }

  /** The session is ready. */
  opened(): void {
    if (this.#doing === "login" && this.selected?.by.kind === "mechanism") {
      this.#add("login", true, this.selected.by.mechanism.name);
    }
  }

  #add(name: Step["name"], ok: boolean, text: string): void {
    const now = this.#now();
    this.steps.push({ name, ok, text, ms: now - this.#since });
    this.#since = now;
  }
}

/** What an EHLO reply offers, keywords only. */
function offers({ lines }: ServerReply): string {
  return lines
    .slice(1)
    .map((line) => line.trim())
    .join("; ");
}
