import { Mask } from "./mask.ts";
import { type ClientMechanism, type SaslContext, SaslError, type SaslSession } from "./mechanism.ts";
import { loadFor } from "./saslprep.ts";

/**
 * One AUTH exchange (RFC 4954), without a socket: it says what to send, is
 * told what was replied, and ends in `done` or `failed`.
 *
 *   idle -> asking -> done
 *              |----> failed                the server refused, or cannot be believed
 *              '----> cancelling -> failed  "*" is on its way; whatever comes back, it failed
 *
 * Invariants
 *  1. `done` only after a 2xx, and after the mechanism is satisfied with the server.
 *  2. No text that leaves here (failure texts, mask()) holds what went into AUTH.
 *  3. Nothing is sent after `done` or `failed`.
 */
export type AuthAction =
  /** A whole line, without CRLF. May be empty: that is an empty response. */
  | { readonly kind: "send"; readonly line: string }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly failure: AuthFailure };

export interface AuthFailure {
  /**
   * refused    the server said no (4xx or 5xx): these credentials, or not now
   * untrusted  the server's part of the exchange cannot be believed, or is malformed
   * unusable   the mechanism cannot work with these credentials
   * loop       the exchange does not end
   */
  readonly why: "refused" | "untrusted" | "unusable" | "loop";
  /** The reply's code, for "refused": 535 is what smtp_sasl_auth_cache_name remembers. */
  readonly code: number | undefined;
  /** Enhanced status code; class 4 but for a 5xx with `softBounce` off. */
  readonly dsn: string;
  /** As in Postfix's log, masked. */
  readonly text: string;
  /** What the server said, masked: "535 5.7.8 …"; for RFC 3464. */
  readonly reply: string | undefined;
}

export interface AuthOptions {
  readonly mechanism: ClientMechanism;
  readonly context: SaslContext;
  /** "NAME[IP]", for texts. */
  readonly server: string;
  /** smtp_sasl_auth_soft_bounce: a 5xx to AUTH counts as temporary. */
  readonly softBounce: boolean;
}

/** RFC 5321 section 4.5.3.1.4: the whole command line, CRLF included. */
const commandLine_bytes = 512;

/** More challenges than this are a loop. */
export const authStepLimit = 100;

export class AuthExchange {
  readonly #options: AuthOptions;
  readonly #mask = new Mask();
  #session: SaslSession | undefined;
  #state: "idle" | "asking" | "cancelling" | "over" = "idle";
  /** An initial response that did not fit the AUTH line. */
  #withheld: Buffer | undefined;
  #steps = 0;
  #failure: AuthFailure | undefined;

  constructor(options: AuthOptions) {
    this.#options = options;
    this.#mask.add(options.context.password);
  }

  /** The AUTH line. Later than at once only when the credentials are not ASCII and SASLprep's tables are not loaded yet. */
  start(): AuthAction | Promise<AuthAction> {
    const { username, password } = this.#options.context;
    const loading = loadFor(username, password);
    return loading ? loading.then(() => this.#begin()) : this.#begin();
  }

  /**
   * What the server replied; `text` is all that follows the code, lines joined
   * by a space. Later than at once where a key is derived.
   */
  onReply(code: number, text: string): AuthAction | Promise<AuthAction> {
    if (this.#state === "cancelling") return this.#fail(this.#failure ?? this.#distrust("the exchange was cancelled"));
    if (this.#state !== "asking" || !this.#session) throw new Error("a reply outside an AUTH exchange");
    if (code >= 300 && code < 400) return this.#onChallenge(text);
    if (code >= 200 && code < 300) return this.#onAccepted();
    return this.#fail(this.#refusal(code, text));
  }

  /** A text of the server, or about it, without what went into AUTH. For as long as the session lasts, AUTH or not. */
  mask(text: string): string {
    return this.#mask.apply(text);
  }

  #begin(): AuthAction {
    const { mechanism, context } = this.#options;
    try {
      this.#session = mechanism.start(context);
    } catch (error) {
      return this.#fail(this.#unusable(error));
    }
    this.#state = "asking";
    const initial = this.#session.initialResponse;
    if (initial === undefined) return send(`AUTH ${mechanism.name}`);
    const line = `AUTH ${mechanism.name} ${initial.length === 0 ? "=" : this.#encode(initial)}`;
    if (line.length + 2 <= commandLine_bytes) return send(line);
    this.#withheld = initial;
    return send(`AUTH ${mechanism.name}`);
  }

  #onChallenge(text: string): AuthAction | Promise<AuthAction> {
    if (++this.#steps > authStepLimit) return this.#fail(this.#loop());
    const challenge = decode(text);
    if (!challenge) return this.#cancel(this.#distrust("the server's challenge is not base64"));
    if (this.#withheld) {
      if (challenge.length > 0) return this.#cancel(this.#bothFirst());
      const initial = this.#withheld;
      this.#withheld = undefined;
      return send(this.#encode(initial));
    }
    try {
      const answer = this.#session?.step(challenge) ?? Buffer.alloc(0);
      if (!(answer instanceof Promise)) return send(this.#encode(answer));
      return answer.then(
        (bytes) => send(this.#encode(bytes)),
        (error: unknown) => this.#cancel(this.#distrustful(error)),
      );
    } catch (error) {
      return this.#cancel(this.#distrustful(error));
    }
  }

  #onAccepted(): AuthAction {
    if (this.#withheld) return this.#fail(this.#distrust("the server accepted before it asked"));
    try {
      this.#session?.finish();
    } catch (error) {
      return this.#fail(this.#distrustful(error));
    }
    this.#state = "over";
    return { kind: "done" };
  }

  /** Base64, and remembers what goes out. A user name alone is no secret: an administrator wants to see it in the log. */
  #encode(bytes: Buffer): string {
    const { username } = this.#options.context;
    if (!bytes.equals(Buffer.from(username))) this.#mask.add(bytes);
    for (const part of bytes.toString("latin1").split(/[\0 ,]/)) {
      if (part.length > 16 && part !== username) this.#mask.add(Buffer.from(part, "latin1"));
    }
    return bytes.toString("base64");
  }

  #cancel(failure: AuthFailure): AuthAction {
    this.#failure = failure;
    this.#state = "cancelling";
    return send("*");
  }

  #fail(failure: AuthFailure): AuthAction {
    this.#state = "over";
    return { kind: "failed", failure };
  }

  #refusal(code: number, text: string): AuthFailure {
    const { server, softBounce } = this.#options;
    const digit = code >= 500 && code < 600 ? "5" : "4";
    const [, given, rest] = /^([245])(\.\d{1,3}\.\d{1,3})(?:\s|$)/.exec(text) ?? [];
    const detail = given === digit && rest ? rest : ".0.0";
    const reply = this.mask(`${code} ${text}`.trimEnd());
    const words = `SASL authentication failed; server ${server} said: ${reply}`;
    return { why: "refused", code, dsn: (softBounce ? "4" : digit) + detail, text: words, reply };
  }

  #distrustful(error: unknown): AuthFailure {
    if (!(error instanceof SaslError)) throw error;
    return this.#distrust(error.message);
  }

  #distrust(reason: string): AuthFailure {
    const text = `SASL authentication failed; cannot authenticate to server ${this.#options.server}: ${reason}`;
    return { why: "untrusted", code: undefined, dsn: "4.7.0", text: this.mask(text), reply: undefined };
  }

  #unusable(error: unknown): AuthFailure {
    return { ...this.#distrustful(error), why: "unusable" };
  }

  #bothFirst(): AuthFailure {
    const { mechanism, server } = this.#options;
    const text = `SASL authentication failed; non-empty initial ${mechanism.name} challenge from server ${server}`;
    return { why: "untrusted", code: undefined, dsn: "4.7.0", text, reply: undefined };
  }

  #loop(): AuthFailure {
    const text = `SASL authentication failed; authentication protocol loop with server ${this.#options.server}`;
    return { why: "loop", code: undefined, dsn: "4.3.0", text, reply: undefined };
  }
}

const send = (line: string): AuthAction => ({ kind: "send", line });

/** Strictly: what is almost base64 is not a challenge. */
function decode(text: string): Buffer | undefined {
  const trimmed = text.trim();
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(trimmed)) return undefined;
  return Buffer.from(trimmed, "base64");
}
