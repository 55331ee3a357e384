/**
 * The socket side of one SMTP session: bytes in lines and messages, replies
 * out, deadlines. What is said is decided in dialogue.ts.
 *
 * Modes
 *   commands  reading command lines
 *   message   reading up to the end of data, into an intake
 *   waiting   for something on our side: a name, a recipient's class, the
 *             intake, the queue, a pause for a client that makes errors.
 *             Input is kept, and the connection paused when there is much of it.
 *   over      the last reply is written; what still comes is thrown away
 *
 * Replies are gathered and go out in one write, when no complete command is
 * left or before a wait for the queue.
 *
 * The deadline: smtpd_timeout for each whole command from the reply before it;
 * bytes that dribble in do not move it. In a message, bytes buy time at
 * smtpd_min_data_rate. It does not run while we are the ones who are slow.
 */
import { isUtf8 } from "node:buffer";
import type { Log } from "../log/log.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Connection, ConnectionEvents } from "../runtime/net.ts";
import { type Action, Dialogue, type DialogueClient, type DialogueSetting } from "./dialogue.ts";
import { Incoming } from "./incoming.ts";
import type { Client, IntakeResult, RecipientFacts, SmtpdPorts, Transaction } from "./ports.ts";
import { logs, replies } from "./words.ts";

type Mode = "commands" | "message" | "waiting" | "over";

/** So much input is kept while we are busy; the rest waits in the kernel. */
const inputLimit_bytes = 64 * 1024;
/** How long a client that was told goodbye may take to close. */
const linger_ms = 10_000;

export interface SessionParts {
  readonly connection: Connection;
  readonly client: Client;
  readonly setting: DialogueSetting;
  readonly ports: SmtpdPorts;
  readonly clock: Clock;
  readonly log: Log;
  /** The time limit in force at the moment, in seconds: shorter under stress. */
  timeout_s(): number;
  /** The connection is gone and nothing is left to do. */
  ended(): void;
}

export class Session implements ConnectionEvents {
  readonly #parts: SessionParts;
  #dialogue: Dialogue | undefined;
  #mode: Mode = "waiting";
  #input: Buffer | undefined;
  #at = 0;
  #skipped = "";
  #out = "";
  #blocked = false;
  #paused = false;
  #clientDone = false;
  #closed = false;
  #ended = false;
  #summed = false;
  #leaving: "no" | "idle" | "now" = "no";
  #timer: Timer | undefined;
  #deadline_ms = 0;
  #incoming: Incoming | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    parts.connection.listen(this);
    this.#arm();
  }

  /** Everything about the client is known: the dialogue begins. */
  begin(own: Omit<DialogueClient, "following">): void {
    if (this.#closed || this.#mode === "over") return;
    const { setting, log } = this.#parts;
    this.#dialogue = new Dialogue(setting, { ...own, following: () => this.#following() }, log);
    this.#perform(this.#dialogue.greet());
    this.#run();
  }

  /** Says one reply, such as 421, and ends the session. */
  refuse(text: string): void {
    if (this.#mode === "over" || this.#closed) return;
    this.#out += `${text}\r\n`;
    this.#finish();
  }

  /** Ends the session with 421: "idle", once it is between two transactions; "now", once it is not in the middle of a message. */
  leave(when: "idle" | "now"): void {
    this.#leaving = when;
    if (this.#mode !== "over") this.#run();
  }

  /** The time limit has become shorter. */
  hurry(): void {
    if (this.#mode !== "commands") return;
    this.#deadline_ms = Math.min(this.#deadline_ms, this.#parts.clock.monotonic() + this.#parts.timeout_s() * 1000);
    this.#arm();
  }

  destroy(): void {
    this.#parts.connection.destroy();
  }

  // What the connection tells

  data(bytes: Buffer): void {
    if (this.#mode === "over") return;
    if (!this.#input) {
      this.#input = bytes;
      this.#at = 0;
    } else {
      this.#input = Buffer.concat([this.#at > 0 ? this.#input.subarray(this.#at) : this.#input, bytes]);
      this.#at = 0;
    }
    if (this.#mode === "waiting" || this.#blocked) this.#hold();
    else this.#run();
  }

  ended(): void {
    this.#clientDone = true;
    if (this.#mode === "over") return;
    this.#run();
  }

  drained(): void {
    this.#blocked = false;
    this.#run();
  }

  closed(): void {
    this.#closed = true;
    this.#timer?.cancel();
    if (this.#incoming?.complete) return; // the queue has it in hand; #committed goes on from here
    if (this.#mode !== "over") this.#lost();
    this.#release();
  }

  // Reading

  /** What nobody expected ends this session, and no other. */
  #run(): void {
    try {
      this.#work();
    } catch (error) {
      const { log, setting } = this.#parts;
      log.error(`${this.#whereNow}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      this.refuse(replies.localError(setting.conf.myhostname));
    }
  }

  #work(): void {
    let worked = false;
    while (this.#input && !this.#blocked) {
      if (this.#mode === "commands") {
        if (!this.#command(this.#input)) break;
      } else if (this.#mode === "message") this.#message(this.#input);
      else break;
      worked = true;
    }
    if (worked && this.#mode === "commands") this.#touch();
    if (this.#out !== "") this.#flush();
    if (this.#mode === "waiting" || this.#mode === "over" || this.#blocked) return;
    if (this.#clientDone) {
      this.#lost();
      return;
    }
    if (this.#leaving !== "no" && this.#mode === "commands" && (this.#leaving === "now" || this.#dialogue?.idle)) {
      this.refuse(replies.shuttingDown(this.#parts.setting.conf.myhostname));
      return;
    }
    this.#flow();
  }

  /** One command line, if there is a whole one. */
  #command(input: Buffer): boolean {
    const limit = this.#parts.setting.conf.line_length_limit;
    const end = input.indexOf(0x0a, this.#at);
    const length = (end < 0 ? input.length : end) - this.#at;
    if (length > limit && this.#skipped === "") this.#skipped = input.toString("latin1", this.#at, this.#at + 40);
    if (end < 0) {
      if (this.#skipped !== "") this.#consume(input.length);
      return false;
    }
    const start = this.#at;
    this.#consume(end + 1);
    const dialogue = this.#dialogue as Dialogue;
    const slow = dialogue.slow;
    const skipped = this.#skipped;
    this.#skipped = "";
    const action =
      skipped === ""
        ? dialogue.line(lineText(input, start, end), end === start || input[end - 1] !== 0x0d)
        : dialogue.tooLong(skipped);
    if (slow) this.#slowly(action);
    else this.#perform(action);
    return true;
  }

  #consume(upTo: number): void {
    if (this.#input && upTo >= this.#input.length) {
      this.#input = undefined;
      this.#at = 0;
    } else this.#at = upTo;
  }

  #following(): Buffer | undefined {
    return this.#input?.subarray(this.#at);
  }

  #slowly(action: Action): void {
    const { clock, setting } = this.#parts;
    const pause_ms = setting.conf.smtpd_error_sleep_time * 1000;
    if (pause_ms === 0) {
      this.#perform(action);
      return;
    }
    this.#mode = "waiting";
    clock.after(pause_ms, () => {
      if (this.#closed || this.#mode !== "waiting") return;
      this.#mode = "commands";
      this.#perform(action);
      this.#touch();
      this.#run();
    });
  }

  #perform(action: Action): void {
    switch (action.kind) {
      case "reply":
        this.#mode = "commands";
        this.#out += action.text;
        this.#out += "\r\n";
        return;
      case "check":
        this.#check(action.recipient, action.sender);
        return;
      case "data":
        this.#out += `${action.text}\r\n`;
        this.#mode = "message";
        this.#incoming = this.#open(action.transaction);
        this.#touch();
        return;
      case "end":
        this.#out += `${action.text}\r\n`;
        this.#finish();
        return;
      default:
        action satisfies never;
        return;
    }
  }

  #check(recipient: string, sender: string): void {
    const dialogue = this.#dialogue as Dialogue;
    const cannotTell = (error: unknown): undefined => {
      this.#parts.log.warning(`${recipient}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    };
    let facts: RecipientFacts | undefined | Promise<RecipientFacts>;
    try {
      facts = this.#parts.ports.classify(recipient, sender);
    } catch (error) {
      facts = cannotTell(error);
    }
    if (!(facts instanceof Promise)) {
      this.#perform(dialogue.checked(facts));
      return;
    }
    this.#mode = "waiting";
    void facts.catch(cannotTell).then((known) => {
      if (this.#closed || this.#mode !== "waiting") return;
      this.#perform(dialogue.checked(known));
      this.#touch();
      this.#run();
    });
  }

  // Messages

  #open(transaction: Transaction): Incoming {
    const { ports, setting, log } = this.#parts;
    return new Incoming(ports.open(transaction), setting.conf.message_size_limit, {
      tooLarge: () => log.warning(logs.tooLarge(transaction.id)),
      ready: () => this.#ready(),
    });
  }

  #message(input: Buffer): void {
    const incoming = this.#incoming as Incoming;
    const from = this.#at;
    const end = incoming.read(input, from);
    this.#consume(end < 0 ? input.length : end);
    if (end < 0) this.#earn(input.length - from);
    if (incoming.busy) {
      this.#mode = "waiting";
      this.#hold();
    } else if (incoming.complete) this.#commit(incoming);
  }

  /** The intake takes more again. */
  #ready(): void {
    const incoming = this.#incoming;
    if (!incoming || this.#mode !== "waiting") return;
    if (incoming.complete) {
      this.#commit(incoming);
      return;
    }
    if (this.#closed) return;
    this.#mode = "message";
    this.#touch();
    this.#run();
  }

  #commit(incoming: Incoming): void {
    const dialogue = this.#dialogue as Dialogue;
    this.#mode = "waiting";
    if (incoming.tooLarge) {
      this.#committed(dialogue.finished(replies.messageTooLarge));
      return;
    }
    if (incoming.bareLf && dialogue.refusesBareLf) {
      incoming.abandon();
      this.#committed(dialogue.refuseBareLf());
      return;
    }
    if (this.#out !== "") this.#flush();
    incoming.commit()?.then(
      (result) => this.#settle(result),
      (error) => {
        this.#parts.log.error(`${dialogue.queueId}: ${error instanceof Error ? error.message : String(error)}`);
        this.#settle(replies.queueError);
      },
    );
  }

  #settle(result: IntakeResult | string): void {
    this.#committed((this.#dialogue as Dialogue).finished(result));
    if (!this.#closed) this.#run();
  }

  #committed(action: Action): void {
    this.#incoming = undefined;
    if (this.#closed) {
      this.#lost();
      this.#release();
      return;
    }
    this.#perform(action);
    if (this.#mode === "commands") this.#touch();
  }

  // Writing

  #flush(): void {
    const text = this.#out;
    this.#out = "";
    if (this.#closed) return;
    if (!this.#parts.connection.write(encoded(text))) this.#blocked = true;
  }

  /** Nothing is read while we are busy and have enough. */
  #hold(): void {
    if (this.#paused || (!this.#incoming?.busy && (this.#input?.length ?? 0) < inputLimit_bytes)) return;
    this.#paused = true;
    this.#parts.connection.pause();
  }

  #flow(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#parts.connection.resume();
  }

  // Time

  #touch(): void {
    this.#deadline_ms = this.#parts.clock.monotonic() + this.#parts.timeout_s() * 1000;
  }

  /** Bytes of a message put the deadline off, up to a whole time limit. */
  #earn(size_bytes: number): void {
    const earned_ms = (size_bytes / this.#parts.setting.conf.smtpd_min_data_rate) * 1000;
    const latest_ms = this.#parts.clock.monotonic() + this.#parts.timeout_s() * 1000;
    this.#deadline_ms = Math.min(latest_ms, this.#deadline_ms + earned_ms);
  }

  /** One timer a session; it looks at the deadline when it fires, so that moving the deadline costs nothing. */
  #arm(): void {
    if (this.#deadline_ms === 0) this.#touch();
    this.#timer?.cancel();
    const left_ms = Math.max(1, this.#deadline_ms - this.#parts.clock.monotonic());
    this.#timer = this.#parts.clock.after(left_ms, () => this.#due(), { idle: true });
  }

  #due(): void {
    if (this.#closed) return;
    if (this.#mode === "over") {
      this.#parts.connection.destroy();
      return;
    }
    if (this.#mode === "waiting" && !this.#blocked) this.#touch();
    if (this.#parts.clock.monotonic() < this.#deadline_ms) {
      this.#arm();
      return;
    }
    this.#parts.log.info(logs.timeout(this.#whereNow, this.#parts.client));
    if (this.#blocked) {
      this.#incoming?.abandon();
      this.#mode = "over";
      this.#sumUp();
      this.#parts.connection.destroy();
      return;
    }
    this.refuse(replies.timeout(this.#parts.setting.conf.myhostname));
  }

  // Ends

  get #whereNow(): string {
    return this.#mode === "message"
      ? logs.afterData(this.#incoming?.size_bytes ?? 0)
      : (this.#dialogue?.where ?? "CONNECT");
  }

  #lost(): void {
    if (this.#mode === "over") return;
    // A client that goes without QUIT once its message is taken is nothing to write about.
    if (this.#whereNow !== "END-OF-MESSAGE") this.#parts.log.info(logs.lost(this.#whereNow, this.#parts.client));
    this.#finish();
  }

  /** The last reply goes out; the client has a little time to close. */
  #finish(): void {
    this.#mode = "over";
    this.#incoming?.abandon();
    this.#input = undefined;
    this.#sumUp();
    const text = this.#out;
    this.#out = "";
    if (this.#closed) return;
    const { connection, clock } = this.#parts;
    if (text === "") connection.end();
    else connection.end(encoded(text));
    if (this.#paused) connection.resume();
    this.#timer?.cancel();
    this.#timer = clock.after(linger_ms, () => this.#due(), { idle: true });
  }

  #sumUp(): void {
    if (this.#summed) return;
    this.#summed = true;
    const { log, client } = this.#parts;
    log.info(logs.disconnect(client, this.#dialogue?.counts.summary ?? " commands=0/0"));
  }

  #release(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#incoming?.abandon();
    this.#parts.ended();
  }
}

/** Text as bytes for the wire: ASCII as it is, anything else as UTF-8. */
function encoded(text: string): string | Buffer {
  return /[^\x00-\x7f]/.test(text) ? Buffer.from(text) : text;
}

/** A command line as text, without the CRs at its end; undefined where it is not UTF-8. */
function lineText(input: Buffer, start: number, end: number): string | undefined {
  let last = end;
  while (last > start && input[last - 1] === 0x0d) last--;
  const text = input.toString("latin1", start, last);
  if (!/[\x80-\xff]/.test(text)) return text;
  const bytes = input.subarray(start, last);
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}
