import { rngFrom } from "../crash/rng.ts";
import type { CheckCase } from "./content-checks-cases.ts";

/** Messages with parts in one another, as they should be and not quite, whose every header and line asks to be logged. */
export function seededMessages(count: number, seed: number): [string, CheckCase][] {
  return Array.from({ length: count }, (_, index) => {
    const own = seed + index;
    return [`seed ${own}`, { text: new Maker(rngFrom(own)).message() }];
  });
}

class Maker {
  readonly #random: () => number;
  #marks = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  message(): string {
    return `Message-ID: <1@x>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\nFrom: a@b.example\r\n${this.#entity(0)}`;
  }

  #entity(depth: number): string {
    const kind = this.#one(depth > 4 ? ["text"] : ["text", "multipart", "multipart", "message", "digest"]);
    const fields = this.#some(3, () => this.#field());
    const blank = this.#chance(0.9) ? "\r\n" : "";
    if (kind === "text") {
      return `${fields}${this.#one(["", "Content-Type: text/plain\r\n", "content-type:application/x;\r\n y=z\r\n"])}${blank}${this.#text()}`;
    }
    if (kind === "message") {
      const subtype = this.#one(["rfc822", "RFC822", "partial", "global", "delivery-status"]);
      return `${fields}Content-Type: message/${subtype}\r\n${blank}${this.#entity(depth + 1)}`;
    }
    const boundary = this.#one(["a", "b", "ab", "a b", "=_1", "--", "x".repeat(60)]);
    const written = / |=/.test(boundary) || this.#chance(0.5) ? `"${boundary}"` : boundary;
    const type = kind === "digest" ? "digest" : this.#one(["mixed", "Alternative", "(c) mixed"]);
    const folded = this.#chance(0.3) ? "\r\n\t" : " ";
    const parts = this.#some(3, () => `--${boundary}${this.#one(["", "", " ", "x"])}\r\n${this.#entity(depth + 1)}`);
    const close = this.#chance(0.8) ? `--${boundary}--\r\n` : "";
    const header = `${fields}Content-Type: multipart/${type};${folded}boundary=${written}\r\n`;
    return `${header}${blank}${this.#text()}${parts}${close}${this.#text()}`;
  }

  #field(): string {
    const name = this.#one(["X-Seen", "X-Seen", "Content-Description", "Subject", "X-Other"]);
    const action = this.#chance(0.25) ? this.#action("X-Do") : "";
    return `${action}${name}:${this.#one([" ", "", "\t"])}${this.#mark()}${this.#chance(0.2) ? "\r\n folded" : ""}\r\n`;
  }

  #text(): string {
    return this.#some(3, () =>
      this.#one([`seen ${this.#mark()}\r\n`, "\r\n", "plain: x\r\n", this.#action("do"), "--\r\n"]),
    );
  }

  #action(name: string): string {
    const header = name === "do" ? this.#mark() : `X-Made: ${this.#mark()}`;
    const words = ["WARN", "INFO x", `REPLACE ${header}`, `PREPEND ${header}`, "IGNORE", "STRIP", "DUNNO", "HOLDING"];
    return `${name}: ${this.#one(words)}\r\n`;
  }

  #mark(): string {
    return `m${++this.#marks}`;
  }

  #some(most: number, make: () => string): string {
    return Array.from({ length: Math.floor(this.#random() * (most + 1)) }, make).join("");
  }

  #one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T;
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }
}
