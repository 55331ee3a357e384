/**
 * Makes a session: connects, and does what the handshake (handshake.ts) says
 * until the server is ready for mail or has shown that it never will be.
 *
 * Resolves with a session or with why there is none; rejects on bugs only. A
 * session that failed is closed when this resolves, with QUIT where the server can
 * still hear it.
 */

import type { MailHost } from "../dns/hosts.ts";
import type { NextHopAddress } from "../dns/nexthop.ts";
import type { Log } from "../log/log.ts";
import type { ServerReply } from "../rfc5321/reply-parser.ts";
import { errorCode } from "../runtime/files.ts";
import type { Connection, TlsFacts } from "../runtime/net.ts";
import { type AuthAction, AuthExchange, type AuthFailure } from "../sasl/exchange.ts";
import type { SaslProperty } from "../sasl/mechanism.ts";
import { noMechanismText, selectMechanism } from "../sasl/select.ts";
import type { Answer } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { requiresTls, usesTls } from "../tls/level.ts";
import { handshakeOptions, type ServerNames, type TlsPolicy } from "../tls/policy.ts";
import { distrustText, handshakeText, judge } from "../tls/verify.ts";
import type { Credentials } from "./credentials.ts";
import { Dialogue, type Listener } from "./dialogue.ts";
import { type Failure, ownFailure } from "./failure.ts";
import { Handshake, type Move } from "./handshake.ts";
import type { SmtpParts } from "./parts.ts";
import { relayText, Session, serverText } from "./session.ts";
import { type OpeningWatch, withoutSecret } from "./watch.ts";
import { commandLine } from "./wire.ts";
import { type Break, breakText, replyArgument, type Stage, systemErrorText } from "./words.ts";

export interface OpeningRequest {
  readonly host: MailHost;
  /** What was parsed to find the host; `written` is what tables are keyed by. */
  readonly hop: NextHopAddress;
  /** The next hop of the delivery, for the text about loops. */
  readonly nexthop: string;
  readonly bestHost: boolean;
  readonly policy: TlsPolicy;
  /** A second try without the TLS that failed; only ever where the policy leaves TLS to chance. */
  readonly inClear: boolean;
  readonly needsSmtpUtf8: boolean;
  readonly queueId: string;
  /** May throw TableError, at once or later. */
  readonly credentials: () => Answer<Credentials | undefined>;
  readonly log: Log;
  readonly watch?: OpeningWatch;
}

export type Opened =
  | { readonly kind: "session"; readonly session: Session }
  /** `connected`: there was somebody to talk to. `overTls`: TLS itself failed, or the conversation over it broke off. */
  | { readonly kind: "failed"; readonly failure: Failure; readonly connected: boolean; readonly overTls: boolean };

export async function openSession(request: OpeningRequest, parts: SmtpParts): Promise<Opened> {
  const { host } = request;
  const { conf, runtime } = parts;
  let connection: Connection;
  const from = bindAddress(host.address, conf.smtp_bind_address, conf.smtp_bind_address6);
  const timeout_ms = conf.smtp_connect_timeout > 0 ? conf.smtp_connect_timeout * 1000 : 2 ** 31 - 1;
  try {
    connection = await runtime.net.connect({
      address: host.path ?? host.address,
      port: host.port,
      timeout_ms,
      ...(from ? { from } : {}),
    });
  } catch (error) {
    const words = systemErrorText(errorCode(error), error instanceof Error ? error.message : String(error));
    const failure = ownFailure("4.4.1", `connect to ${relayText(host)}: ${words}`);
    return { kind: "failed", failure, connected: false, overTls: false };
  }
  request.watch?.connected();
  let discard: ReadonlySet<string>;
  try {
    discard = await discardedKeywords(host.address, parts);
  } catch (error) {
    connection.destroy();
    if (!(error instanceof TableError)) throw error;
    request.log.warning(
      `${request.queueId}: smtp_discard_ehlo_keyword_address_maps map lookup error for ${host.address}`,
    );
    return { kind: "failed", failure: localDataError(host), connected: true, overTls: false };
  }
  return new Promise((resolve, reject) => {
    new Opening(request, parts, connection, discard, resolve, reject).begin();
  });
}

function bindAddress(remote: string, four: string, six: string): string {
  return (remote.includes(":") ? six : four).replace(/^\[(.*)\]$/, "$1");
}

async function discardedKeywords(address: string, { conf, discardMaps }: SmtpParts): Promise<ReadonlySet<string>> {
  const found = discardMaps.empty ? undefined : await discardMaps.find(address);
  const words = found === undefined ? conf.smtp_discard_ehlo_keywords : found.split(/[\s,]+/);
  return new Set(words.map((word) => word.toLowerCase()).filter(Boolean));
}

function localDataError(host: MailHost): Failure {
  return ownFailure("4.3.0", `local data error while talking to ${serverText(host)}`);
}

class Opening implements Listener {
  readonly #request: OpeningRequest;
  readonly #parts: SmtpParts;
  readonly #resolve: (opened: Opened) => void;
  readonly #reject: (error: unknown) => void;
  readonly #dialogue: Dialogue;
  readonly #handshake: Handshake;
  readonly #discard: ReadonlySet<string>;
  readonly #born_ms: number;
  #stage: Stage = "receiving the initial server greeting";
  /** A reply is awaited; none may come otherwise. */
  #asking = false;
  #over = false;
  #sour = false;
  #secured = false;
  #verified = false;
  #exchange: AuthExchange | undefined;
  #credentials: Credentials | undefined;

  constructor(
    request: OpeningRequest,
    parts: SmtpParts,
    connection: Connection,
    discard: ReadonlySet<string>,
    resolve: (opened: Opened) => void,
    reject: (error: unknown) => void,
  ) {
    const { clock } = parts.runtime;
    this.#request = request;
    this.#parts = parts;
    this.#discard = discard;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#born_ms = clock.monotonic();
    this.#dialogue = new Dialogue(connection, clock);
    this.#handshake = new Handshake(this.#setup(discard));
  }

  #setup(discard: ReadonlySet<string>): ConstructorParameters<typeof Handshake>[0] {
    const { host, hop, nexthop, bestHost, policy, inClear, needsSmtpUtf8 } = this.#request;
    const { conf, protocol } = this.#parts;
    const required = requiresTls(policy.level);
    return {
      protocol,
      server: serverText(host),
      relay: relayText(host),
      nexthop,
      heloName: conf.smtp_helo_name || conf.myhostname,
      ownName: protocol === "smtp" && hop.port === 25 ? conf.myhostname : "",
      bestHost,
      alwaysEhlo: conf.smtp_always_send_ehlo,
      neverEhlo: conf.smtp_never_send_ehlo,
      skip5xxGreeting: conf.smtp_skip_5xx_greeting,
      discard,
      tls: required ? "required" : usesTls(policy.level) && !inClear ? "may" : "none",
      wrapper: policy.wrapper,
      login: conf.smtp_sasl_auth_enable,
      needsSmtpUtf8,
    };
  }

  begin(): void {
    this.#dialogue.attend(this);
    this.#perform(this.#handshake.begin());
  }

  onReply(reply: ServerReply): void {
    if (!this.#asking) {
      this.#dialogue.destroy();
      this.onBreak("unsolicited");
      return;
    }
    this.#asking = false;
    this.#tellHeard(reply);
    try {
      this.#answer(reply);
    } catch (error) {
      this.#onError(error);
    }
  }

  #tellHeard(reply: ServerReply): void {
    const { watch } = this.#request;
    const exchange = this.#exchange;
    if (!watch) return;
    watch.heard(exchange ? { ...reply, lines: reply.lines.map((line) => exchange.mask(line)) } : reply);
  }

  #answer(reply: ServerReply): void {
    if (this.#exchange) this.#authenticate(() => this.#exchange?.onReply(reply.code, replyArgument(reply)));
    else this.#perform(this.#handshake.onReply(reply, this.#dialogue.unread));
  }

  onJunk(_line: string): void {
    this.#sour = true;
  }

  onDrained(): void {}

  onBreak(why: Break): void {
    const { dsn, reason } = breakText(why, serverText(this.#request.host), this.#stage);
    this.#fail(ownFailure(dsn, reason), this.#secured);
  }

  #perform(move: Move): void {
    this.#logWarnings();
    switch (move.kind) {
      case "ask":
        this.#ask(move.command, move.stage);
        break;
      case "tls":
        this.#startTls();
        break;
      case "login":
        this.#login().catch((error: unknown) => this.#onError(error));
        break;
      case "ready":
        this.#ready();
        break;
      case "failed":
        this.#fail(move.failure, false);
        break;
      default:
        move satisfies never;
    }
  }

  #ask(command: string | undefined, stage: Stage): void {
    const { conf } = this.#parts;
    this.#stage = stage;
    this.#asking = true;
    const starting = stage === "receiving the STARTTLS response";
    this.#dialogue.within(starting ? conf.smtp_starttls_timeout : conf.smtp_helo_timeout);
    if (command === undefined) return;
    this.#dialogue.turn();
    this.#request.watch?.said(this.#exchange ? withoutSecret(command) : command);
    this.#dialogue.send(commandLine(command));
  }

  #logWarnings(): void {
    const { log } = this.#request;
    for (const warning of this.#handshake.takeWarnings()) log.warning(warning);
  }

  #startTls(): void {
    const { host, hop, policy } = this.#request;
    const { conf, authorities } = this.#parts;
    const names = { hostname: host.name, nexthop: hop.host };
    this.#dialogue
      .startTls(handshakeOptions(policy, names, authorities), conf.smtp_starttls_timeout)
      .then(
        (facts) => this.#onTls(facts, names),
        (error: unknown) => this.#onTlsFailure(error),
      )
      .catch((error: unknown) => this.#onError(error));
  }

  #onTls(facts: TlsFacts, names: ServerNames): void {
    const { host, policy, log } = this.#request;
    const verdict = judge(facts, policy, names);
    this.#secured = true;
    this.#verified = verdict.matched !== undefined;
    this.#request.watch?.secured(facts, verdict);
    if (this.#parts.conf.smtp_tls_loglevel > 0) {
      const distrust = distrustText(facts, policy, names, relayText(host));
      if (distrust) log.info(distrust);
      log.info(handshakeText(facts, verdict, relayText(host)));
    }
    if (verdict.failure) this.#fail(ownFailure(verdict.failure.dsn, verdict.failure.text), false);
    else this.#perform(this.#handshake.onTls());
  }

  #onTlsFailure(error: unknown): void {
    const { host, policy, log } = this.#request;
    const words = error instanceof Error ? error.message : String(error);
    this.#request.watch?.notSecured(words);
    log.info(`SSL_connect error to ${relayText(host)}: ${words.replace(/[^\x20-\x7e]/g, "?").slice(0, 300)}`);
    const about = policy.level === "may" ? "message" : "destination";
    this.#fail(ownFailure("4.7.5", "Cannot start TLS: handshake failure", about), true);
  }

  async #login(): Promise<void> {
    const { host, log } = this.#request;
    const { filter, conf, runtime, protocol } = this.#parts;
    const offered = this.#handshake.features.mechanisms ?? [];
    const credentials = await this.#request.credentials();
    if (this.#over) return;
    if (credentials === undefined) {
      this.#request.watch?.noCredentials();
      return this.#ready();
    }
    const required = this.#required();
    const selected = await selectMechanism({ offered, required, filter });
    if (this.#over) return;
    this.#request.watch?.chosen(selected, required);
    if (selected.kind === "none") {
      if (offered.length === 0) log.warning(`${relayText(host)} offered null AUTH mechanism list`);
      // What operators search for: Postfix has it from its SASL library.
      if (selected.why === "nothing usable") log.warning("SASL authentication failure: No worthy mechs found");
      return this.#fail(ownFailure("4.7.0", noMechanismText(selected.why, serverText(host)), "login"), false);
    }
    this.#credentials = credentials;
    const context = {
      ...credentials,
      service: protocol,
      host: host.name,
      random: (count: number) => runtime.random.bytes(count),
      crypto: runtime.crypto,
    };
    const softBounce = conf.smtp_sasl_auth_soft_bounce;
    const exchange = new AuthExchange({ mechanism: selected.mechanism, context, server: serverText(host), softBounce });
    this.#exchange = exchange;
    this.#authenticate(() => exchange.start());
  }

  #required(): ReadonlySet<SaslProperty> {
    const { conf } = this.#parts;
    if (!this.#secured) return new Set(conf.smtp_sasl_security_options);
    return new Set(this.#verified ? conf.smtp_sasl_tls_verified_security_options : conf.smtp_sasl_tls_security_options);
  }

  #authenticate(step: () => AuthAction | Promise<AuthAction> | undefined): void {
    try {
      const action = step();
      if (action instanceof Promise) action.then((done) => this.#onAuth(done)).catch((error) => this.#onError(error));
      else if (action) this.#onAuth(action);
    } catch (error) {
      this.#onError(error);
    }
  }

  #onAuth(action: AuthAction): void {
    if (this.#over) return;
    if (action.kind === "send") this.#ask(action.line, this.#stage);
    else if (action.kind === "done") this.#ready();
    else this.#onAuthFailure(action.failure);
  }

  #onAuthFailure({ dsn, text, reply, why, code }: AuthFailure): void {
    const login = why === "unusable" || (why === "refused" && code !== undefined && code >= 500);
    this.#fail({ dsn, reason: text, reply, about: login ? "login" : "destination" }, false);
  }

  #onError(error: unknown): void {
    if (this.#over) return;
    if (error instanceof TableError) {
      const { queueId, host, log } = this.#request;
      log.warning(`${queueId}: ${this.#parts.conf.smtp_sasl_password_maps.join(", ")} lookup error: ${error.message}`);
      this.#fail(localDataError(host), false);
      return;
    }
    this.#over = true;
    this.#dialogue.destroy();
    this.#reject(error);
  }

  #ready(): void {
    const { host, hop, policy } = this.#request;
    this.#over = true;
    this.#dialogue.leave();
    const exchange = this.#exchange;
    const facts = {
      dialogue: this.#dialogue,
      host,
      nexthop: hop.written,
      features: this.#handshake.features,
      credentials: this.#credentials,
      mask: exchange ? (text: string) => exchange.mask(text) : undefined,
      policy,
      secured: this.#secured,
      born_ms: this.#born_ms,
      sour: this.#sour,
      quit_s: this.#parts.conf.smtp_skip_quit_response ? 0 : this.#parts.conf.smtp_quit_timeout,
    };
    if (this.#discard.size > 0 && !this.#discard.has("silent-discard")) {
      this.#request.log.info(`discarding EHLO keywords: ${[...this.#discard].join(" ").toUpperCase()}`);
    }
    this.#resolve({ kind: "session", session: new Session(facts) });
  }

  #fail(failure: Failure, overTls: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#dialogue.close("QUIT\r\n");
    const mask = this.#exchange;
    const said = mask && failure.reply ? { reply: mask.mask(failure.reply) } : {};
    this.#resolve({ kind: "failed", failure: { ...failure, ...said }, connected: true, overTls });
  }
}
