/**
 * How a session begins, as the replies decide it: greeting, EHLO or HELO,
 * STARTTLS and EHLO again, and whether to log in (RFC 5321 section 3.1 and 3.2,
 * RFC 3207, RFC 4954). No socket, no clock, no secrets: it says what to do
 * next, and is told what came of it.
 *
 *   [tls ->] greeting -> ehlo -> [starttls -> tls -> ehlo ->] [login ->] ready
 *                         \-> helo -> ready            any -> failed
 *
 * With LMTP (RFC 2033 section 4.1) it is LHLO in place of EHLO, and never HELO.
 *
 * Invariants
 *  1. Where TLS is required nothing but EHLO, HELO, STARTTLS and QUIT is said in clear.
 *  2. What was learnt before TLS is forgotten with it.
 *  3. Bytes that came in clear behind the reply to STARTTLS end the session.
 */

import { withClass } from "../rfc5321/enhanced.ts";
import type { ServerReply } from "../rfc5321/reply-parser.ts";
import { type Failure, ownFailure } from "./failure.ts";
import { type Features, firstWord, noFeatures, readFeatures } from "./features.ts";
import { isPositive } from "./transaction.ts";
import { refusedToTalkText, replyArgument, replyDsn, replyText, type Stage } from "./words.ts";

export interface HandshakeSetup {
  readonly protocol: "smtp" | "lmtp";
  /** "name[address]" and "name[address]:port", for texts. */
  readonly server: string;
  readonly relay: string;
  readonly nexthop: string;
  readonly heloName: string;
  /** To notice that we are talking to ourselves; "" where that is no matter. */
  readonly ownName: string;
  /** One of the most preferred hosts: a loop here is for good. */
  readonly bestHost: boolean;
  readonly alwaysEhlo: boolean;
  readonly neverEhlo: boolean;
  readonly skip5xxGreeting: boolean;
  /** Lower case. */
  readonly discard: ReadonlySet<string>;
  readonly tls: "none" | "may" | "required";
  /** TLS from the first byte on. */
  readonly wrapper: boolean;
  readonly login: boolean;
  readonly needsSmtpUtf8: boolean;
}

export type Move =
  /** Write the command if there is one, and pass on the next reply. */
  | { readonly kind: "ask"; readonly command: string | undefined; readonly stage: Stage }
  /** Start TLS and tell onTls(). */
  | { readonly kind: "tls" }
  /** Log in, if there are credentials, and use the session. */
  | { readonly kind: "login" }
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly failure: Failure };

type State = "greeting" | "ehlo" | "helo" | "starttls" | "tls" | "over";

export class Handshake {
  readonly #setup: HandshakeSetup;
  readonly #warnings: string[] = [];
  #state: State = "greeting";
  #secured = false;
  #features = noFeatures("");

  constructor(setup: HandshakeSetup) {
    this.#setup = setup;
  }

  get features(): Features {
    return this.#features;
  }

  /** Warnings for the log that have come up since last asked. */
  takeWarnings(): readonly string[] {
    return this.#warnings.splice(0);
  }

  begin(): Move {
    if (!this.#setup.wrapper) return this.#awaitGreeting();
    this.#state = "tls";
    return { kind: "tls" };
  }

  /** TLS is there, and the policy is content with the certificate. */
  onTls(): Move {
    this.#secured = true;
    this.#features = noFeatures("");
    return this.#setup.wrapper ? this.#awaitGreeting() : this.#sayEhlo();
  }

  /** `more`: bytes have come behind this reply. */
  onReply(reply: ServerReply, more: boolean): Move {
    switch (this.#state) {
      case "greeting":
        return this.#onGreeting(reply);
      case "ehlo":
        return this.#onEhlo(reply);
      case "helo":
        return this.#onHelo(reply);
      case "starttls":
        return this.#onStartTls(reply, more);
      default:
        return this.#fail(ownFailure("4.5.0", `Protocol error: host ${this.#setup.server} spoke out of turn`));
    }
  }

  #awaitGreeting(): Move {
    this.#state = "greeting";
    return { kind: "ask", command: undefined, stage: "receiving the initial server greeting" };
  }

  #onGreeting(reply: ServerReply): Move {
    const { relay, ownName, skip5xxGreeting, alwaysEhlo, neverEhlo, protocol } = this.#setup;
    if (!isPositive(reply)) {
      const failure = this.#refusedToTalk(reply);
      const soften = skip5xxGreeting && Math.floor(reply.code / 100) === 5;
      return this.#fail(soften ? { ...failure, dsn: withClass(failure.dsn, 4) } : failure);
    }
    if (protocol === "lmtp") return this.#sayEhlo();
    const words = replyArgument(reply).split(/\s+/);
    if (ownName && words[0]?.toLowerCase() === ownName.toLowerCase()) {
      this.#warnings.push(`host ${relay} greeted me with my own hostname ${ownName}`);
    }
    const esmtp = alwaysEhlo || words.slice(1).some((word) => word.toLowerCase() === "esmtp");
    return esmtp && !neverEhlo ? this.#sayEhlo() : this.#sayHelo();
  }

  #sayEhlo(): Move {
    const { protocol, heloName } = this.#setup;
    this.#state = "ehlo";
    if (protocol === "lmtp") {
      return { kind: "ask", command: `LHLO ${heloName}`, stage: "performing the LHLO handshake" };
    }
    return { kind: "ask", command: `EHLO ${heloName}`, stage: "performing the EHLO handshake" };
  }

  #sayHelo(): Move {
    this.#state = "helo";
    return { kind: "ask", command: `HELO ${this.#setup.heloName}`, stage: "performing the HELO handshake" };
  }

  #onEhlo(reply: ServerReply): Move {
    const { relay, discard, protocol } = this.#setup;
    if (!isPositive(reply)) {
      // LMTP has nothing to fall back to.
      const final = reply.code === 421 || protocol === "lmtp";
      return final ? this.#fail(this.#refusedToTalk(reply)) : this.#sayHelo();
    }
    this.#features = readFeatures(reply.lines, discard);
    for (const warning of this.#features.warnings) this.#warnings.push(`${warning} from ${relay}`);
    return this.#proceed();
  }

  #onHelo(reply: ServerReply): Move {
    if (!isPositive(reply)) return this.#fail(this.#refusedToTalk(reply));
    this.#features = noFeatures(firstWord(reply.lines[0] ?? ""));
    return this.#proceed();
  }

  /** The server has introduced itself: is it us, does it serve, and is this safe enough? */
  #proceed(): Move {
    const { server, relay, nexthop, ownName, bestHost, needsSmtpUtf8, tls } = this.#setup;
    if (ownName && this.#features.name.toLowerCase() === ownName.toLowerCase()) {
      this.#warnings.push(`host ${relay} replied to HELO/EHLO with my own hostname ${ownName}`);
      return this.#fail(ownFailure(bestHost ? "5.4.6" : "4.4.6", `mail for ${nexthop} loops back to myself`));
    }
    if (needsSmtpUtf8 && !this.#features.smtpUtf8) return this.#fail(noSmtpUtf8(server));
    if (!this.#secured && tls !== "none" && this.#features.startTls) {
      this.#state = "starttls";
      return { kind: "ask", command: "STARTTLS", stage: "receiving the STARTTLS response" };
    }
    if (!this.#secured && tls === "required") {
      return this.#fail(ownFailure("4.7.4", `TLS is required, but was not offered by host ${server}`));
    }
    return this.#finish();
  }

  #onStartTls(reply: ServerReply, more: boolean): Move {
    const { server, tls } = this.#setup;
    if (isPositive(reply)) {
      if (more) {
        const reason = `host ${server} sent more behind its reply to STARTTLS, which cannot be trusted`;
        return this.#fail(ownFailure("4.7.0", reason));
      }
      this.#state = "tls";
      return { kind: "tls" };
    }
    if (tls !== "required") return this.#finish();
    const text = replyText(reply);
    const reason = `TLS is required, but host ${server} refused to start TLS: ${text}`;
    // Whoever can inject one line must not be able to destroy mail: never for good.
    return this.#fail({ dsn: withClass(replyDsn(reply), 4), reason, reply: text, about: "destination" });
  }

  #finish(): Move {
    this.#state = "over";
    return { kind: this.#setup.login && this.#features.mechanisms !== undefined ? "login" : "ready" };
  }

  #refusedToTalk(reply: ServerReply): Failure {
    const text = replyText(reply);
    const refusal = reply.code >= 400 && reply.code < 600;
    // A code that is no refusal is a server out of step, and no reason to return mail.
    const dsn = refusal ? replyDsn(reply) : withClass(replyDsn(reply), 4);
    return { dsn, reason: refusedToTalkText(this.#setup.server, text), reply: text, about: "destination" };
  }

  #fail(failure: Failure): Move {
    this.#state = "over";
    return { kind: "failed", failure };
  }
}

/** RFC 6531 section 3.2: such mail cannot be sent on in any other form. */
export function noSmtpUtf8(server: string): Failure {
  return ownFailure("5.6.7", `SMTPUTF8 is required, but was not offered by host ${server}`, "message");
}
