import type { GivenMessage } from "../lab/cleanup-pair.ts";

/** Messages for address rewriting, from a seed: headers that people write, and headers that nobody should. */
export function generatedMessages(seed: number, count: number): GivenMessage[] {
  const draw = new Draw(seed);
  return Array.from({ length: count }, () => oneMessage(draw));
}

/** Numbers from a seed (mulberry32): the same on every machine. */
class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }
}

const users = [
  "bob",
  "carol",
  "dave",
  "eve",
  "root",
  "self",
  "many",
  "plus",
  "first.last",
  "odd",
  "MAILER-DAEMON",
  "x-y",
];
const odd = [
  '"two words"',
  '"a@b"',
  '"q\\"q"',
  "two\\ words",
  '"plain"',
  "a..b",
  ".a",
  "gr\u00fc\u00dfe",
  '""',
  "a%b",
  "s!u",
];
const domains = [
  "here.example",
  "old.example",
  "x.example",
  "moved.example",
  "all.example",
  "host.x.example",
  "s.example",
];
const oddDomains = [
  "host",
  "keep.masked.example",
  "a.pattern.example",
  "[192.0.2.1]",
  "x.example.",
  "X.Example",
  "[IPv6:::1]",
];
const words = [
  "Bob",
  "J.",
  "Mr",
  '"Jones, Bob"',
  "=?utf-8?q?Gr=C3=BC?=",
  "Gr\u00fc\u00dfe",
  "O'Neil",
  '"a\\\\b"',
  "a%b",
];
const blanks = ["", " ", "  ", "\t", "\r\n ", "\r\n\t"];
const specials = [
  "<",
  ">",
  "(",
  ")",
  ",",
  ";",
  ":",
  "@",
  ".",
  "[",
  "]",
  '"',
  "\\",
  "%",
  "!",
  "|",
  " ",
  "a",
  "b.c",
  "\r\n ",
];

function address(draw: Draw): string {
  const user = draw.below(4) === 0 ? draw.of(odd) : draw.of(users) + draw.of(["", "", "", "+ext", "-ext", "+a+b"]);
  if (draw.below(5) === 0) return user;
  return `${user}@${draw.below(4) === 0 ? draw.of(oddDomains) : draw.of(domains)}`;
}

function comment(draw: Draw): string {
  return draw.of(["(c)", "(a (nested) one)", "(with \\) a pair)", "(folded\r\n\there)", "(, ; @)"]);
}

function mailbox(draw: Draw): string {
  const blank = () => draw.of(blanks);
  switch (draw.below(6)) {
    case 0:
      return address(draw);
    case 1:
      return `${address(draw)}${blank()}${comment(draw)}`;
    case 2:
      return `${comment(draw)}${blank()}${address(draw)}`;
    case 3:
      return `<${address(draw)}>`;
    default:
      return `${[draw.of(words), ...draw.some(2, () => draw.of(words))].join(" ")}${blank()}<${address(draw)}>`;
  }
}

function list(draw: Draw): string {
  const one = () => {
    const kind = draw.below(12);
    if (kind === 0) return `group:${draw.of(blanks)}${draw.some(3, () => mailbox(draw)).join(", ")};`;
    if (kind === 1) return draw.some(12, () => draw.of(specials)).join("");
    if (kind === 2) return `${mailbox(draw)} ${mailbox(draw)}`;
    return mailbox(draw);
  };
  return [one(), ...draw.some(6, one)].join(`,${draw.of(blanks)}`);
}

const names = [
  "From",
  "From",
  "To",
  "To",
  "Cc",
  "Sender",
  "Reply-To",
  "TO",
  "Resent-From",
  "Resent-Cc",
  "Mail-Followup-To",
];

function oneMessage(draw: Draw): GivenMessage {
  const field = () => `${draw.of(names)}${draw.of([":", ": ", ":\r\n ", " : "])}${list(draw)}`;
  const header = [field(), ...draw.some(4, field), "Subject: x"].join("\r\n");
  const envelope = () => `${draw.of(users)}${draw.of(["", "+ext"])}@${draw.of(domains)}`;
  return {
    client: draw.below(4) === 0 ? "far" : "near",
    sender: draw.below(6) === 0 ? "" : envelope(),
    to: [envelope(), ...draw.some(3, envelope)],
    text: encoded(draw, `${lastLinesWhole(header)}\r\n\r\nbody\r\n`),
  };
}

/** One character a byte: of UTF-8, or, now and then, of something older. */
function encoded(draw: Draw, text: string): string {
  return draw.below(8) === 0 ? text : Buffer.from(text).toString("latin1");
}

/** A continuation line of white space only would end the header for some. */
function lastLinesWhole(header: string): string {
  return header.replace(/\r\n[ \t]*(?=\r\n)/g, "\r\n x");
}
