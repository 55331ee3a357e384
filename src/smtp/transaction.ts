/**
 * One mail transaction, as the replies decide it (RFC 5321 section 3.3, RFC 2920).
 * No socket and no clock: it says what to send, is told what came back, and says
 * which recipients that settles.
 *
 * A reply answers the oldest unanswered command, so pipelined and one-at-a-time
 * sessions share this code: the difference is only how much is sent ahead.
 *
 *   mail -> rcpt (once a recipient) -> data -> dot -> over          (LMTP: dot once a recipient that was accepted)
 *                                   \-> over, with a reset due, when there is nobody to send to
 *
 * Invariants
 *  1. Every recipient is settled once, or the machine is not over.
 *  2. The body is sent only after a 354 with at least one recipient accepted;
 *     a 354 that nobody is left for is answered with the bare dot.
 *  3. Work is linear in the number of recipients.
 */
import type { ServerReply } from "../rfc5321/reply-parser.ts";

/** The command that a reply is awaited for. */
export type Awaited = "mail" | "rcpt" | "data" | "dot";

export interface Step {
  /** Sent now: commands, the body with its final dot, or the final dot alone. */
  readonly send: readonly string[] | "body" | "dot" | undefined;
  /** These (positions in the list of recipients) are settled by this reply: accepted for good, or refused. */
  readonly settled: Settled | undefined;
  /** What the next reply answers; undefined when it is over. */
  readonly awaits: Awaited | undefined;
}

export interface Settled {
  readonly recipients: readonly number[];
  readonly by: ServerReply;
  readonly command: Awaited;
  readonly accepted: boolean;
}

export class Transaction {
  readonly #mail: string;
  readonly #rcpts: readonly string[];
  readonly #pipelining: boolean;
  readonly #eachAtEnd: boolean;
  #awaits: Awaited | undefined = "mail";
  /** Recipients whose RCPT has been answered. */
  #answered = 0;
  #accepted: number[] = [];
  /** With replies for each at the end: how many have come. */
  #ended = 0;
  #stranded = false;
  #mailRefused = false;
  #resetDue = false;

  /** `mail` and `rcpts`: whole command lines. `eachAtEnd`: the final dot is answered once for each recipient accepted (RFC 2033 section 4.2). */
  constructor(mail: string, rcpts: readonly string[], pipelining: boolean, eachAtEnd = false) {
    this.#mail = mail;
    this.#rcpts = rcpts;
    this.#pipelining = pipelining;
    this.#eachAtEnd = eachAtEnd;
  }

  /** It ended without our knowing what the server answers next: the session must not be used again. */
  get stranded(): boolean {
    return this.#stranded;
  }

  /** The server may still hold something of this transaction: RSET before the next one. */
  get resetDue(): boolean {
    return this.#resetDue;
  }

  begin(): Step {
    const commands = this.#pipelining ? [this.#mail, ...this.#rcpts, "DATA"] : [this.#mail];
    return { send: commands, settled: undefined, awaits: "mail" };
  }

  /** Throws when it is over: a reply that nobody asked for is the driver's to notice. */
  onReply(reply: ServerReply): Step {
    switch (this.#awaits) {
      case "mail":
        return this.#onMail(reply);
      case "rcpt":
        return this.#onRcpt(reply);
      case "data":
        return this.#onData(reply);
      case "dot":
        return this.#onDot(reply);
      default:
        throw new Error("a reply after the end of the transaction");
    }
  }

  #onMail(reply: ServerReply): Step {
    if (isPositive(reply)) return this.#go("rcpt", this.#pipelining ? undefined : this.#rcpts.slice(0, 1));
    this.#mailRefused = true;
    const settled = { recipients: [...this.#rcpts.keys()], by: reply, command: "mail", accepted: false } as const;
    // What was sent ahead is still answered, and those answers count for nothing.
    return this.#pipelining ? this.#go("rcpt", undefined, settled) : this.#over(true, settled);
  }

  #onRcpt(reply: ServerReply): Step {
    const recipient = this.#answered++;
    const positive = isPositive(reply);
    if (positive && !this.#mailRefused) this.#accepted.push(recipient);
    const refused = !positive && !this.#mailRefused;
    const settled = refused
      ? ({ recipients: [recipient], by: reply, command: "rcpt", accepted: false } as const)
      : undefined;
    const last = this.#answered === this.#rcpts.length;
    if (this.#pipelining) return this.#go(last ? "data" : "rcpt", undefined, settled);
    if (!last) return this.#go("rcpt", this.#rcpts.slice(this.#answered, this.#answered + 1), settled);
    return this.#accepted.length > 0 ? this.#go("data", ["DATA"], settled) : this.#over(true, settled);
  }

  #onData(reply: ServerReply): Step {
    if (Math.floor(reply.code / 100) === 3) {
      if (this.#accepted.length > 0) return this.#go("dot", "body");
      if (!this.#eachAtEnd) return this.#go("dot", "dot");
      // Nobody is left that an answer could be for, and some servers give one nevertheless.
      this.#stranded = true;
      return { ...this.#over(false), send: "dot" };
    }
    return this.#over(true, this.#settleAccepted(reply, "data", false));
  }

  #onDot(reply: ServerReply): Step {
    if (this.#eachAtEnd) return this.#onDotOfOne(reply);
    const nobody = this.#accepted.length === 0;
    const positive = isPositive(reply);
    return this.#over(nobody || !positive, nobody ? undefined : this.#settleAccepted(reply, "dot", positive));
  }

  /** Recipients are answered for in the order of their RCPT. */
  #onDotOfOne(reply: ServerReply): Step {
    const recipient = this.#accepted[this.#ended++] as number;
    const settled = { recipients: [recipient], by: reply, command: "dot", accepted: isPositive(reply) } as const;
    return this.#ended < this.#accepted.length ? this.#go("dot", undefined, settled) : this.#over(false, settled);
  }

  #settleAccepted(by: ServerReply, command: Awaited, accepted: boolean): Settled | undefined {
    return this.#accepted.length > 0 ? { recipients: this.#accepted, by, command, accepted } : undefined;
  }

  #go(awaits: Awaited, send: Step["send"], settled?: Settled): Step {
    this.#awaits = awaits;
    return { send, settled, awaits };
  }

  #over(resetDue: boolean, settled?: Settled): Step {
    this.#awaits = undefined;
    this.#resetDue = resetDue;
    return { send: undefined, settled, awaits: undefined };
  }
}

export function isPositive({ code }: ServerReply): boolean {
  return code >= 200 && code < 300;
}
