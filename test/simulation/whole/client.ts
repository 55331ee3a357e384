import type { World } from "../world.ts";
import type { End, Owner } from "./connection.ts";
import { makeOffer, makeWish, type Wish } from "./mail.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Offer, WholeOracle } from "./oracle.ts";

/** Where the relay takes mail. */
export const relayAddress = { address: "10.0.0.1", port: 25 } as const;

/** How long a client waits for a reply. */
const patience_ms = 90_000;

const outside: Owner = { alive: true, effect: () => true, atDeath() {} };

class Gone extends Error {}

/**
 * A program that sends mail through the relay: one session with a message or several, in a group (RFC 2920) or command by
 * command; it may change its mind, go away at any point, or send the same again because it never heard a reply.
 */
export class SimulatedClient {
  readonly #world: World;
  readonly #network: SimulatedNetwork;
  readonly #oracle: WholeOracle;
  readonly #name: string;
  readonly #nextNumber: () => number;
  #connection: End | undefined;
  #text = "";
  #waiting: (() => void) | undefined;
  #over = false;

  constructor(
    parts: { world: World; network: SimulatedNetwork; oracle: WholeOracle; nextNumber: () => number },
    name: string,
  ) {
    this.#world = parts.world;
    this.#network = parts.network;
    this.#oracle = parts.oracle;
    this.#nextNumber = parts.nextNumber;
    this.#name = name;
  }

  /** Resolves when the session is over. True: everything that it wanted to send was taken. */
  async run(messages: number): Promise<boolean> {
    let allTaken = true;
    const wishes = Array.from({ length: messages }, () => makeWish(this.#world, this.#nextNumber()));
    for (let tries = 0; wishes.length > 0 && tries < 3; tries++) {
      try {
        await this.#session(wishes);
        if (wishes.length > 0) allTaken = false;
        break;
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        this.#world.note(`${this.#name} is cut off: ${error.message}`);
        allTaken = false;
        // Whoever did not hear a reply sends it again, or gives up.
        if (!this.#world.chance(0.6)) break;
        await this.#world.pause(this.#world.below(3000));
      }
    }
    return allTaken;
  }

  async #session(wishes: Wish[]): Promise<void> {
    const world = this.#world;
    this.#text = "";
    this.#over = false;
    const host = `10.9.0.${1 + world.below(5)}`;
    const connection = await this.#network
      .connect(outside, host, { ...relayAddress, timeout_ms: 30_000 })
      .catch((error: Error) => {
        throw new Gone(error.message);
      });
    this.#connection = connection;
    const woken = (): void => this.#waiting?.();
    const over = (): void => {
      this.#over = true;
      woken();
    };
    connection.listen({
      data: (bytes) => {
        this.#text += bytes.toString("latin1");
        woken();
      },
      ended: over,
      drained: () => {},
      closed: over,
    });
    try {
      await this.#talk(wishes);
    } finally {
      connection.destroy();
    }
  }

  async #talk(wishes: Wish[]): Promise<void> {
    const world = this.#world;
    if ((await this.#reply()) !== 220) return;
    const extended = world.chance(0.85);
    this.#say(`${extended ? "EHLO" : "HELO"} client.example\r\n`);
    if ((await this.#reply()) !== 250) return;
    const grouped = extended && world.chance(0.6);
    for (let wish = wishes[0]; wish; wish = wishes[0]) {
      this.#mayLeave(0.02);
      if (world.chance(0.06)) await this.#changeMind(wish, grouped);
      const offer = this.#offer(wish);
      const answered = grouped ? await this.#inGroup(offer) : await this.#inTurn(offer);
      if (!answered) return;
      wishes.shift();
    }
    if (world.chance(0.7)) {
      this.#say("QUIT\r\n");
      await this.#reply();
    }
  }

  /** Begins a transaction and takes it back: nobody in it may get anything. */
  async #changeMind(wish: Wish, grouped: boolean): Promise<void> {
    const offer = this.#offer({
      ...wish,
      addresses: wish.addresses.map((address) => `not-${this.#nextNumber()}-${address}`),
    });
    const commands = this.#commands(offer);
    for (const each of grouped ? [commands.join("")] : commands) {
      this.#say(each);
      for (let index = 0; index < (grouped ? commands.length : 1); index++) await this.#reply();
    }
    await this.#startOver();
  }

  #offer(wish: Wish): Offer {
    return makeOffer(wish, this.#world, this.#oracle, this.#name);
  }

  #commands({ sender, recipients }: Offer): string[] {
    return [`MAIL FROM:<${sender}>\r\n`, ...[...recipients.keys()].map((address) => `RCPT TO:<${address}>\r\n`)];
  }

  /** False: the relay wants no more of us. */
  async #inGroup(offer: Offer): Promise<boolean> {
    this.#say([...this.#commands(offer), "DATA\r\n"].join(""));
    this.#mayLeave(0.03);
    const mail = await this.#reply();
    for (const address of offer.recipients.keys()) this.#answered(offer, address, await this.#reply());
    const data = await this.#reply();
    this.#mayLeave(0.03);
    if (data === 354) {
      if (mail !== 250) this.#world.violated(`${offer.number} is asked for, and its sender was refused`);
      return await this.#send(offer);
    }
    this.#refused(offer, data);
    return mail < 500 && data !== 421 && (await this.#startOver());
  }

  async #startOver(): Promise<boolean> {
    this.#say("RSET\r\n");
    return (await this.#reply()) === 250;
  }

  async #inTurn(offer: Offer): Promise<boolean> {
    const [mail = "", ...recipients] = this.#commands(offer);
    this.#say(mail);
    this.#mayLeave(0.02);
    const begun = await this.#reply();
    if (begun !== 250) {
      this.#refused(offer, begun);
      return false;
    }
    const addresses = [...offer.recipients.keys()];
    let accepted = 0;
    for (const [index, command] of recipients.entries()) {
      this.#say(command);
      this.#mayLeave(0.01);
      const code = await this.#reply();
      this.#answered(offer, addresses[index] ?? "", code);
      if (code === 250) accepted++;
      if (code === 421) return false;
    }
    if (accepted === 0) {
      this.#refused(offer, 450);
      return await this.#startOver();
    }
    this.#say("DATA\r\n");
    const data = await this.#reply();
    if (data === 354) return await this.#send(offer);
    this.#refused(offer, data);
    return false;
  }

  async #send(offer: Offer): Promise<boolean> {
    const world = this.#world;
    const text = Buffer.from(`${offer.text.toString("latin1").replace(/^\./gm, "..")}.\r\n`, "latin1");
    if (world.faulty && world.chance(0.04)) {
      this.#say(text.subarray(0, world.below(text.length)));
      await world.pause(world.below(50));
      throw this.#left("in the middle of a message");
    }
    offer.complete = true;
    for (let from = 0; from < text.length; ) {
      const to = world.chance(0.7) ? text.length : from + 1 + world.below(text.length - from);
      this.#say(text.subarray(from, to));
      from = to;
      if (from < text.length) await world.pause(world.below(20));
    }
    this.#mayLeave(0.04);
    const code = await this.#reply();
    if (code >= 200 && code < 300) {
      world.note(`${this.#name} is told ${code} for ${offer.number}`);
      this.#oracle.told(offer, "acknowledged");
      return true;
    }
    this.#refused(offer, code);
    return false;
  }

  #answered(offer: Offer, address: string, code: number): void {
    offer.recipients.set(address, code === 250 ? "accepted" : "refused");
  }

  #refused(offer: Offer, code: number): void {
    this.#world.note(`${this.#name} is refused ${offer.number}: ${code}`);
    this.#oracle.told(offer, "refused");
  }

  #say(bytes: string | Buffer): void {
    this.#connection?.write(bytes);
  }

  #mayLeave(probability: number): void {
    if (this.#world.faulty && this.#world.chance(probability)) throw this.#left("it goes away");
  }

  #left(where: string): Gone {
    this.#connection?.destroy();
    return new Gone(where);
  }

  /** The code of the next reply, when all its lines are there. */
  async #reply(): Promise<number> {
    const late_ms = this.#world.clock.monotonic() + patience_ms;
    for (;;) {
      const [whole, code] = /^(?:\d{3}-[^\r\n]*\r\n)*(\d{3})(?: [^\r\n]*)?\r\n/.exec(this.#text) ?? [];
      if (whole !== undefined) {
        this.#text = this.#text.slice(whole.length);
        return Number(code);
      }
      if (this.#over) throw new Gone("the connection is gone");
      const left_ms = late_ms - this.#world.clock.monotonic();
      if (left_ms <= 0) throw new Gone("no reply");
      await new Promise<void>((resolve) => {
        const timer = this.#world.clock.after(left_ms, resolve);
        this.#waiting = () => {
          timer.cancel();
          resolve();
        };
      });
    }
  }
}
