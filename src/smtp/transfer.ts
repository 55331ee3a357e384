/**
 * One transaction on the wire: writes what the machine (transaction.ts) says,
 * feeds it the replies, and sends the body without ever holding more of it than
 * a chunk. No promise per line: one for the whole, and one a chunk of large bodies.
 *
 * The final dot goes out only after every byte of the body; where the body
 * cannot be read to its end the connection is dropped, so that the server never
 * takes half a message for a whole one.
 */
import type { BodyReader } from "../queue/message.ts";
import type { ServerReply } from "../rfc5321/reply-parser.ts";
import { TableError } from "../table/table.ts";
import { BodyEncoder } from "./body.ts";
import type { ContentFilter } from "./content-filter.ts";
import type { Listener } from "./dialogue.ts";
import { Downgrade } from "./downgrade.ts";
import type { Session } from "./session.ts";
import { type Awaited, type Settled, type Step, Transaction } from "./transaction.ts";
import { CommandGroup } from "./wire.ts";
import { type Break, type Stage, transactionStages } from "./words.ts";

export interface TransferLimits {
  readonly mail_s: number;
  readonly rcpt_s: number;
  readonly data_s: number;
  readonly transfer_s: number;
  readonly dot_s: number;
  readonly leastRate_bytes_per_s: number;
  readonly lineLength_bytes: number;
}

export interface TransferJob {
  readonly mail: string;
  readonly rcpts: readonly string[];
  /** Chunk 0, read before anything was said. */
  readonly first: Buffer;
  /** There is more than chunk 0. */
  readonly more: boolean;
  /** Of the whole body: less is not sent as a message. Undefined where the body sees to that itself. */
  readonly size_bytes: number | undefined;
  readonly body: BodyReader;
  readonly downgrade: boolean;
  /** LMTP: the final dot is answered for each recipient. */
  readonly eachAtEnd: boolean;
  /** What header and body checks make of it, after that; undefined where there are none. */
  readonly filter?: ContentFilter | undefined;
  /** Say QUIT as soon as it is safe. */
  readonly last: boolean;
}

/**
 * unreadable   the queue does not give the body
 * unchecked    a table of content checks cannot tell
 */
export type Unsendable = "unreadable" | "unchecked";

export interface TransferEnd {
  /** What a table said that could not tell. */
  readonly checkError?: string | undefined;
  readonly settled: readonly Settled[];
  /** It broke off: the connection is dead, and who is not settled is not delivered to (or, at the dot, perhaps is). */
  readonly broken: { readonly why: Break | Unsendable; readonly stage: Stage } | undefined;
  /** The server has answered something. */
  readonly answered: boolean;
  readonly resetDue: boolean;
  /** QUIT has been said. */
  readonly quit: boolean;
  readonly folded: boolean;
  readonly junk: readonly string[];
}

const dot = Buffer.from(".\r\n");
const dotQuit = Buffer.from(".\r\nQUIT\r\n");

/** What QUIT is answered with. */
const closing = 221;

export function transfer(session: Session, job: TransferJob, limits: TransferLimits): Promise<TransferEnd> {
  return new Promise((resolve, reject) => new Transfer(session, job, limits, resolve, reject).begin());
}

class Transfer implements Listener {
  readonly #session: Session;
  readonly #job: TransferJob;
  readonly #limits: TransferLimits;
  readonly #resolve: (end: TransferEnd) => void;
  readonly #reject: (error: unknown) => void;
  readonly #machine: Transaction;
  readonly #settled: Settled[] = [];
  readonly #junk: string[] = [];
  #stage: Stage = transactionStages.mail;
  #answered = false;
  #over = false;
  #quit = false;
  #folded = false;
  #checkError: string | undefined;
  /** Body bytes are still to be written, or to be taken by the kernel. */
  #sending = false;
  #drained: (() => void) | undefined;

  constructor(
    session: Session,
    job: TransferJob,
    limits: TransferLimits,
    resolve: (end: TransferEnd) => void,
    reject: (error: unknown) => void,
  ) {
    this.#session = session;
    this.#job = job;
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#machine = new Transaction(job.mail, job.rcpts, session.facts.features.pipelining, job.eachAtEnd);
  }

  begin(): void {
    this.#session.uses++;
    this.#session.facts.dialogue.attend(this);
    this.#take(this.#machine.begin());
  }

  onReply(reply: ServerReply): void {
    try {
      this.#answer(reply);
    } catch (error) {
      this.#over = true;
      this.#session.facts.dialogue.destroy();
      this.#reject(error);
    }
  }

  #answer(reply: ServerReply): void {
    this.#answered = true;
    if (this.#sending) {
      // Too early: the server will not have it, or is out of step. It cannot have taken what it has not got.
      if (reply.code < 400) {
        this.#break("unsolicited");
        return;
      }
      this.#take(this.#machine.onReply(reply));
      // Of LMTP's several answers the others will not come.
      if (this.#over) this.#session.facts.dialogue.destroy();
      else this.#break("lost");
      return;
    }
    // QUIT is answered, and the message was not: nobody can tell what became of it.
    if (this.#quit && reply.code === closing) this.#break("unsolicited");
    else this.#take(this.#machine.onReply(reply));
  }

  onJunk(line: string): void {
    this.#session.sour = true;
    if (this.#junk.length < 10) this.#junk.push(line);
  }

  onDrained(): void {
    const resume = this.#drained;
    this.#drained = undefined;
    resume?.();
  }

  onBreak(why: Break): void {
    this.#end({ why, stage: this.#stage });
  }

  #break(why: Break | Unsendable): void {
    if (this.#over) return;
    this.#session.facts.dialogue.destroy();
    this.#end({ why, stage: this.#stage });
  }

  #take({ send, settled, awaits }: Step): void {
    if (settled) this.#settled.push(settled);
    if (awaits === undefined) {
      if (send === "dot") this.#session.facts.dialogue.send(dot);
      this.#end(undefined);
      return;
    }
    this.#await(awaits);
    if (send === undefined) return;
    this.#session.facts.dialogue.turn();
    if (send === "body") this.#beginBody();
    else if (send === "dot") this.#session.facts.dialogue.send(this.#finalDot());
    else this.#sendCommands(send);
  }

  #await(awaits: Awaited): void {
    const { mail_s, rcpt_s, data_s, dot_s } = this.#limits;
    this.#stage = transactionStages[awaits];
    const seconds = awaits === "mail" ? mail_s : awaits === "rcpt" ? rcpt_s : awaits === "data" ? data_s : dot_s;
    this.#session.facts.dialogue.within(seconds);
  }

  #sendCommands(commands: readonly string[]): void {
    const group = new CommandGroup();
    for (const command of commands) group.add(command);
    this.#session.facts.dialogue.send(group.take());
  }

  /** With pipelining, QUIT goes with the dot: no reply to it is waited for. */
  #finalDot(): Buffer {
    this.#quit = this.#job.last && this.#session.facts.features.pipelining;
    return this.#quit ? dotQuit : dot;
  }

  /** Not while there is something unread behind the 354: whoever answers a message before it was sent gets none. */
  #beginBody(): void {
    if (!this.#session.facts.dialogue.unread) {
      this.#sendBody();
      return;
    }
    queueMicrotask(() => {
      if (this.#over) return;
      if (this.#session.facts.dialogue.unread) this.#break("unsolicited");
      else this.#sendBody();
    });
  }

  #sendBody(): void {
    const { first, more, downgrade, filter } = this.#job;
    if (more || downgrade || filter) {
      // Only reading and checking the body can throw here; what was read before is of no use without the rest.
      this.#sendLarge().catch((error: unknown) => this.#cannotSend(error));
      return;
    }
    const encoder = new BodyEncoder(this.#limits.lineLength_bytes);
    const encoded = encoder.push(first);
    this.#folded = encoder.folded;
    const taken = this.#session.facts.dialogue.send(Buffer.concat([encoded, encoder.end(), this.#finalDot()]));
    if (taken) return;
    this.#sending = true;
    this.#stage = "sending message body";
    this.#session.facts.dialogue.within(this.#limits.transfer_s);
    this.#drained = () => this.#sent();
  }

  #cannotSend(error: unknown): void {
    const unchecked = this.#job.filter !== undefined && error instanceof TableError;
    if (unchecked) this.#checkError = error.message;
    this.#break(unchecked ? "unchecked" : "unreadable");
  }

  #sent(): void {
    this.#sending = false;
    this.#await("dot");
  }

  async #sendLarge(): Promise<void> {
    const { first, more, size_bytes, body, downgrade, filter } = this.#job;
    const encoder = new BodyEncoder(this.#limits.lineLength_bytes);
    const converter = downgrade ? new Downgrade() : undefined;
    this.#sending = true;
    this.#stage = "sending message body";
    let budget_s = this.#limits.transfer_s;
    let read_bytes = 0;
    for (let index = 0; ; index++) {
      const chunk = index === 0 ? first : more ? await body.chunk(index) : undefined;
      if (this.#over) return;
      read_bytes += chunk?.length ?? 0;
      const converted = chunk && converter ? converter.push(chunk) : (chunk ?? converter?.end());
      const bytes = filter ? await filtered(filter, converted, chunk === undefined) : converted;
      if (this.#over) return;
      if (bytes) {
        budget_s = await this.#sendChunk(encoder.push(bytes), budget_s);
        if (this.#over) return;
      }
      if (chunk === undefined) break;
    }
    if (size_bytes !== undefined && read_bytes !== size_bytes) throw new Error("the body ends too early");
    this.#folded = encoder.folded;
    const taken = this.#session.facts.dialogue.send(Buffer.concat([encoder.end(), this.#finalDot()]));
    if (taken) this.#sent();
    else this.#drained = () => this.#sent();
  }

  /** What has gone out earns time for what is left, so that only a server that takes too little a second is given up on. */
  async #sendChunk(bytes: Buffer, budget_s: number): Promise<number> {
    const { transfer_s, leastRate_bytes_per_s } = this.#limits;
    if (bytes.length === 0) return budget_s;
    const { dialogue } = this.#session.facts;
    dialogue.within(budget_s);
    if (!dialogue.send(bytes)) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    return Math.min(transfer_s, dialogue.remaining_s() + bytes.length / leastRate_bytes_per_s);
  }

  #end(broken: TransferEnd["broken"]): void {
    if (this.#over) return;
    this.#over = true;
    // Whoever waits for the kernel to take more must see that it is over.
    this.onDrained();
    const { dialogue } = this.#session.facts;
    if (this.#machine.stranded) this.#session.sour = true;
    dialogue.leave();
    if (this.#quit) this.#session.hangUp();
    this.#resolve({
      settled: this.#settled,
      broken,
      answered: this.#answered,
      resetDue: this.#machine.resetDue,
      quit: this.#quit,
      folded: this.#folded,
      checkError: this.#checkError,
      junk: this.#junk,
    });
  }
}

async function filtered(filter: ContentFilter, bytes: Buffer | undefined, last: boolean): Promise<Buffer> {
  const pushed = bytes ? await filter.push(bytes) : Buffer.alloc(0);
  return last ? Buffer.concat([pushed, await filter.end()]) : pushed;
}
