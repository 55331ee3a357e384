/**
 * The socket side of one SMTP session: it moves bytes between the connection,
 * the dialogue (which decides what is said: dialogue.ts) and a message's intake.
 * Lines are found in client-input.ts; how long a client may take is in deadline.ts.
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
 * An exception ends this session with 421, and no other: everything that comes
 * in from outside (an event, a timer, a promise) enters through #guarded.
 */
import type { Log } from "../log/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection, ConnectionEvents } from "../runtime/net.ts";
import { ClientInput } from "./client-input.ts";
import { Deadline } from "./deadline.ts";
import { type Action, Dialogue, type DialogueClient, type DialogueSetting } from "./dialogue.ts";
import { Incoming } from "./incoming.ts";
import type { Client, IntakeResult, RecipientFacts, SmtpdPorts, Transaction } from "./ports.ts";
import { logs, replies } from "./words.ts";

type Mode = "commands" | "message" | "waiting" | "over";

/** So much input is kept while we are busy; the rest waits in the kernel. */
const inputLimit_bytes = 64 * 1024;
/** How long a client that was told goodbye may take to close; one that was refused before it could say anything, less. */
const linger_ms = 10_000;
const refusedLinger_ms = 1000;

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
  readonly #input = new ClientInput();
  readonly #deadline: Deadline;
  #dialogue: Dialogue | undefined;
  #mode: Mode = "waiting";
  #out = "";
  #blocked = false;
  #paused = false;
  #clientDone = false;
  #closed = false;
  #ended = false;
  #summed = false;
  #leaving: "no" | "idle" | "now" = "no";
  #incoming: Incoming | undefined;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#deadline = new Deadline({
      clock: parts.clock,
      limit_s: () => parts.timeout_s(),
      waiting: () => this.#mode === "waiting" && !this.#blocked,
      passed: () => this.#late(),
    });
    parts.connection.listen(this);
  }

  /** Everything about the client is known: the dialogue begins. */
  begin(own: Omit<DialogueClient, "following">): void {
    if (this.#closed || this.#mode === "over") return;
    const { setting, log } = this.#parts;
    const dialogue = new Dialogue(setting, { ...own, following: () => this.#input.rest }, log);
    this.#dialogue = dialogue;
    this.#guarded(() => this.#perform(dialogue.greet()));
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
    if (this.#mode === "commands") this.#deadline.hurry();
  }

  destroy(): void {
    this.#parts.connection.destroy();
  }

  // What the connection tells

  data(bytes: Buffer): void {
    if (this.#mode === "over") return;
    this.#input.add(bytes);
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
    this.#deadline.cancel();
    if (this.#incoming?.complete && this.#mode !== "over") return; // the queue has it in hand; #committed goes on from here
    this.#guarded(() => this.#lost());
    this.#release();
  }

  // Reading

  /** What nobody expected ends this session, and no other. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      const { log, setting } = this.#parts;
      log.error(`${this.#whereNow}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      if (this.#closed) this.#release();
      else this.refuse(replies.localError(setting.conf.myhostname));
    }
  }

  #run(): void {
    this.#guarded(() => this.#work());
  }

  #work(): void {
    let worked = false;
    while (this.#input.size_bytes > 0 && !this.#blocked) {
      if (this.#mode === "commands") {
        if (!this.#command()) break;
      } else if (this.#mode === "message") this.#message();
      else break;
      worked = true;
    }
    if (worked && this.#mode === "commands") this.#deadline.touch();
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
  #command(): boolean {
    const line = this.#input.line(this.#parts.setting.conf.line_length_limit);
    if (!line) return false;
    const dialogue = this.#dialogue as Dialogue;
    const slow = dialogue.slow;
    const action = line.kind === "line" ? dialogue.line(line.text, line.bareLf) : dialogue.tooLong(line.begin);
    if (slow) this.#slowly(action);
    else this.#perform(action);
    return true;
  }

  #slowly(action: Action): void {
    const { clock, setting } = this.#parts;
    const pause_ms = setting.conf.smtpd_error_sleep_time * 1000;
    if (pause_ms === 0) {
      this.#perform(action);
      return;
    }
    this.#mode = "waiting";
    clock.after(pause_ms, () => this.#goOn(() => action));
  }

  /** The wait is over: what came of it is done, and then what has come meanwhile. */
  #goOn(decide: () => Action): void {
    if (this.#closed || this.#mode !== "waiting") return;
    this.#mode = "commands";
    this.#guarded(() => this.#perform(decide()));
    this.#deadline.touch();
    this.#run();
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
        this.#deadline.touch();
        return;
      case "end":
        this.#out += `${action.text}\r\n`;
        this.#finish({ close: action.text === replies.bye && this.#input.size_bytes === 0 });
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
    void facts.catch(cannotTell).then((known) => this.#goOn(() => dialogue.checked(known)));
  }

  // Messages

  #open(transaction: Transaction): Incoming {
    const { ports, setting, log } = this.#parts;
    return new Incoming(ports.open(transaction), setting.conf.message_size_limit, {
      tooLarge: () => log.warning(logs.tooLarge(transaction.id)),
      ready: () => this.#ready(),
    });
  }

  #message(): void {
    const incoming = this.#incoming as Incoming;
    const read_bytes = this.#input.give((bytes, from) => incoming.read(bytes, from));
    if (!incoming.complete) this.#deadline.earn(read_bytes, this.#parts.setting.conf.smtpd_min_data_rate);
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
      this.#guarded(() => this.#commit(incoming));
      return;
    }
    if (this.#closed) return;
    this.#mode = "message";
    this.#deadline.touch();
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
    this.#guarded(() => this.#committed((this.#dialogue as Dialogue).finished(result)));
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
    if (this.#mode === "commands") this.#deadline.touch();
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
    if (this.#paused || (!this.#incoming?.busy && this.#input.size_bytes < inputLimit_bytes)) return;
    this.#paused = true;
    this.#parts.connection.pause();
  }

  #flow(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#parts.connection.resume();
  }

  // Ends

  /** The client has taken too long. */
  #late(): void {
    if (this.#closed) return;
    if (this.#mode === "over") {
      this.#parts.connection.destroy();
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

  /** The last reply goes out; the client has a little time to close, unless it has said that it goes. */
  #finish(options = { close: false }): void {
    this.#mode = "over";
    this.#incoming?.abandon();
    this.#input.clear();
    this.#sumUp();
    const text = this.#out;
    this.#out = "";
    if (this.#closed) return;
    const { connection } = this.#parts;
    if (text === "") connection.end();
    else connection.end(encoded(text), options);
    if (this.#paused) connection.resume();
    this.#deadline.endIn(this.#dialogue ? linger_ms : refusedLinger_ms);
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
