import type { World } from "../world.ts";
import type { End } from "./connection.ts";
import type { WholeOracle } from "./oracle.ts";
import type { SimulatedProcess } from "./process.ts";

/** After so long without a word a server hangs up. */
const patience_ms = 120_000;

/**
 * What a server does in place of what it should, when the world is faulty:
 *   later, never   a 4xx, a 5xx
 *   silent         nothing at all
 *   gone, half     closes the connection, or its half of it
 *   nonsense       what is no reply, or not one to this
 *   slow           the right thing, after a while
 */
type Mood = "good" | "later" | "never" | "silent" | "gone" | "half" | "nonsense" | "slow";

const moods: readonly (readonly [Mood, number])[] = [
  ["later", 4],
  ["never", 2],
  ["silent", 1],
  ["gone", 2],
  ["half", 1],
  ["nonsense", 1],
  ["slow", 2],
];

/** One session of a server that takes mail for one domain. */
export class ServerSession {
  readonly #world: World;
  readonly #oracle: WholeOracle;
  readonly #connection: End;
  readonly #domain: string;
  readonly #name: string;
  readonly #extended: boolean;
  readonly #pipelining: boolean;
  #input = "";
  #from: string | undefined;
  #to: string[] = [];
  /** Everybody who was named since MAIL. */
  #asked: string[] = [];
  /** MAIL was refused for good: so are those who follow in the same group. */
  #senderRefused = false;
  #reading = false;
  #over = false;
  /** Something is being waited for; what comes meanwhile is read later. */
  #busy = false;
  #timer: { cancel(): void } | undefined;
  /** It has said something that makes no sense: nothing that comes of this session can be held against the relay. */
  #confused = false;

  constructor(world: World, oracle: WholeOracle, connection: End, domain: string) {
    this.#world = world;
    this.#oracle = oracle;
    this.#connection = connection;
    this.#domain = domain;
    this.#name = `${domain} ${connection.local.address}`;
    this.#extended = world.chance(0.9);
    this.#pipelining = world.chance(0.7);
    connection.listen({
      data: (bytes) => {
        this.#input += bytes.toString("latin1");
        this.#read();
      },
      ended: () => this.#leave("end"),
      drained() {},
      closed: () => this.#leave("closed"),
    });
    this.#answer("220 ready", "421 busy", "554 no", () => {});
  }

  get #relay(): SimulatedProcess | undefined {
    return this.#connection.other.owner as SimulatedProcess | undefined;
  }

  #read(): void {
    this.#rest();
    while (!this.#busy && !this.#over) {
      if (this.#reading) {
        if (!this.#message()) return;
        continue;
      }
      const end = this.#input.indexOf("\r\n");
      if (end < 0) return;
      const line = this.#input.slice(0, end);
      this.#input = this.#input.slice(end + 2);
      this.#command(line);
    }
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#timer = this.#world.clock.after(patience_ms, () => this.#hangUp());
  }

  #command(line: string): void {
    const [, address = ""] = /:<([^>]*)>/.exec(line) ?? [];
    switch (line.slice(0, 4).toUpperCase()) {
      case "EHLO":
        this.#reset();
        return this.#extended ? this.#hello() : this.#say("502 5.5.1 not here\r\n");
      case "HELO":
        this.#reset();
        return this.#answer(`250 ${this.#domain}`, "421 4.3.0 later", "450 4.7.1 not you", () => {});
      case "MAIL":
        if (this.#from !== undefined) return this.#say("503 5.5.1 nested MAIL command\r\n");
        // Who refuses a notification for its sender has nobody to blame for it.
        return this.#answer(
          "250 2.1.0 ok",
          "451 4.3.0 later",
          address === "" ? "451 4.3.0 later" : "550 5.1.8 no",
          (mood) => {
            if (mood === "good") this.#from = address;
            else this.#senderRefused = mood === "never" && address !== "";
            if (this.#senderRefused) this.#oracle.refusesSender(address, this.#domain);
          },
        );
      case "RCPT":
        return this.#recipient(address);
      case "DATA":
        return this.#data();
      case "RSET":
        this.#reset();
        return this.#answer("250 2.0.0 ok", "421 4.3.0 later", "550 no", () => {});
      case "QUIT":
        this.#say("221 2.0.0 bye\r\n");
        return this.#hangUp();
      default:
        return this.#say("500 5.5.2 what?\r\n");
    }
  }

  #hello(): void {
    const offers = [
      this.#domain,
      ...(this.#pipelining ? ["PIPELINING"] : []),
      "SIZE 10000000",
      "8BITMIME",
      "ENHANCEDSTATUSCODES",
    ];
    const text = offers.map((each, index) => `250${index === offers.length - 1 ? " " : "-"}${each}`).join("\r\n");
    this.#answer(text, "421 4.3.0 later", "450 4.7.1 not you", () => {});
  }

  #recipient(address: string): void {
    this.#asked.push(address);
    if (this.#confused || this.#senderRefused) this.#oracle.refuses([address]);
    if (this.#from === undefined) {
      return this.#say("503 5.5.1 need MAIL\r\n");
    }
    this.#answer("250 2.1.5 ok", "450 4.2.1 later", "550 5.1.1 no such user", (mood) => {
      if (mood === "good") this.#to.push(address);
      if (mood === "never") this.#oracle.refuses([address]);
    });
  }

  #data(): void {
    if (this.#to.length === 0) return this.#say("554 5.5.1 no valid recipients\r\n");
    this.#answer("354 go ahead", "451 4.3.0 later", "554 5.7.1 no", (mood) => {
      if (mood === "good") this.#reading = true;
      if (mood === "never") this.#oracle.refuses(this.#to);
    });
  }

  /** False: the end of data has not come. */
  #message(): boolean {
    const end = this.#input.startsWith(".\r\n") ? 0 : this.#input.indexOf("\r\n.\r\n") + 2;
    if (end === 1) return false;
    const text = Buffer.from(this.#input.slice(0, end).replace(/(^|\r\n)\./g, "$1"), "latin1");
    this.#input = this.#input.slice(end + 3);
    this.#reading = false;
    const from = this.#from ?? "";
    const to = this.#to;
    this.#reset();
    this.#end(from, to, text);
    return true;
  }

  /** The moment that counts: it is taken, or not, and the reply may be lost either way. */
  #end(from: string, to: readonly string[], text: Buffer): void {
    const world = this.#world;
    const mood = this.#mood();
    if (mood === "later" || mood === "never") {
      if (mood === "never") this.#oracle.refuses(to);
      return this.#say(mood === "later" ? "451 4.3.0 later\r\n" : "554 5.7.1 no\r\n");
    }
    // What makes no sense as a reply may still mean that it has been taken.
    if (mood === "nonsense") this.#oracle.refuses(to);
    const taken = mood === "good" || mood === "slow" || world.chance(0.5);
    if (!taken) return this.#behave(mood, mood === "half" ? "" : "250 2.0.0 ok\r\n", undefined);
    world.note(`${this.#name} takes a message of <${from}> for ${to} from ${this.#relay?.name}`);
    const told = this.#oracle.received({
      from,
      to,
      text,
      by: this.#relay,
      sent_ms: this.#connection.other.wrote_ms,
      domain: this.#domain,
    });
    this.#behave(mood, "250 2.0.0 ok\r\n", this.#confused ? undefined : told);
  }

  #mood(): Mood {
    const world = this.#world;
    if (!world.faulty) return "good";
    let luck = world.below(130);
    for (const [mood, weight] of moods) {
      luck -= weight;
      if (luck < 0) return mood;
    }
    return "good";
  }

  /** Says yes, no, or something else; `done` is told what it came to before anything is said. */
  #answer(yes: string, later: string, never: string, done: (mood: Mood) => void): void {
    const mood = this.#mood();
    if (mood === "later" || mood === "never") {
      done(mood);
      this.#say(`${mood === "later" ? later : never}\r\n`);
      return;
    }
    if (mood === "nonsense") this.#oracle.refuses(this.#asked);
    else done("good");
    this.#behave(mood, `${yes}\r\n`, undefined);
  }

  #behave(mood: Mood, text: string, told: (() => void) | undefined): void {
    const world = this.#world;
    if (mood !== "good") world.note(`${this.#name} is ${mood}`);
    switch (mood) {
      case "silent":
        this.#busy = true;
        return;
      case "gone":
        return this.#hangUp();
      case "half":
        if (world.chance(0.5)) this.#say(text, told);
        this.#connection.end();
        this.#busy = true;
        return;
      case "nonsense":
        this.#confused = true;
        return this.#say(world.pick(["\0\xff nonsense\r\n", "999 what\r\n", "250", "x".repeat(3000)]) ?? "");
      case "slow":
        this.#busy = true;
        world.clock.after(world.below(40_000), () => {
          this.#busy = false;
          this.#say(text, told);
          this.#read();
        });
        return;
      default:
        this.#say(text, told);
    }
  }

  #reset(): void {
    this.#from = undefined;
    this.#to = [];
    this.#asked = [];
    this.#senderRefused = false;
  }

  #say(text: string, told?: () => void): void {
    if (!this.#over) this.#connection.say(text, told);
  }

  #hangUp(): void {
    if (this.#over) return;
    this.#leave("end");
    this.#connection.end();
    this.#world.clock.after(1000, () => this.#connection.destroy());
  }

  #leave(how: "end" | "closed"): void {
    this.#timer?.cancel();
    if (how === "end" && !this.#over) this.#connection.end();
    this.#over = true;
  }
}
