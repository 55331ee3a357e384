import { type Random, seeded } from "./damage.ts";
import { BerError, element, integer, octets, sequence, tag } from "./ldap/ber.ts";
import { messageLength, parseResponse } from "./ldap/messages.ts";
import { valueFraming, valueIn as valueOfMemcache } from "./memcache.ts";
import type { Framing } from "./server-client.ts";
import { netstring, valueIn as valueOfSocketmap } from "./socketmap.ts";
import { TableError } from "./table.ts";
import { line, valueIn as valueOfTcp } from "./tcp.ts";

/**
 * Odd answers of tables' servers, for tests and for `npm run fuzz`: what a server may send is taken for an answer, for
 * a part of one, or for none, and never for anything else; in pieces it is what it is as a whole.
 */
export interface Protocol {
  readonly name: string;
  readonly framing: Framing;
  /** Reads what the framing took for an answer. */
  read(answer: Buffer): unknown;
  readonly samples: readonly Buffer[];
}

const latin1 = (...texts: readonly string[]): Buffer[] => texts.map((text) => Buffer.from(text, "latin1"));

const ldapMessage = (operation: number, ...contents: readonly Buffer[]): Buffer =>
  sequence(integer(2), element(operation, ...contents));
const ldapResult = [integer(0, tag.enumerated), octets(""), octets("text")];
const ldapAttributes = sequence(
  sequence(octets("mail"), element(tag.set, octets("a@b"), octets("c@d"))),
  sequence(octets("cn;lang-de"), element(tag.set)),
);

export const protocols: readonly Protocol[] = [
  {
    name: "tcp",
    framing: line,
    read: (answer) => valueOfTcp(answer.toString("latin1")),
    samples: latin1("200 value\n", "500 not here\n", "400 later\n", "200 a%20b%0a\n"),
  },
  {
    name: "socketmap",
    framing: netstring,
    read: valueOfSocketmap,
    samples: latin1("8:OK value,", "9:NOTFOUND ,", "10:TEMP later,", "12:PERM for ever,"),
  },
  {
    name: "memcache",
    framing: valueFraming(1024, 10_240),
    read: valueOfMemcache,
    samples: latin1("END\r\n", "VALUE key 0 5\r\nvalue\r\nEND\r\n", "VALUE k 0 0\r\n\r\nEND\r\n", "SERVER_ERROR x\r\n"),
  },
  {
    name: "ldap",
    framing(bytes) {
      const length = messageLength(bytes);
      return length === undefined || length > bytes.length ? undefined : { answer: bytes.subarray(0, length), length };
    },
    read: parseResponse,
    samples: [
      ldapMessage(0x61, ...ldapResult),
      ldapMessage(0x64, octets("cn=x"), ldapAttributes),
      ldapMessage(0x65, ...ldapResult),
      ldapMessage(0x73, octets("ldap:///x")),
      ldapMessage(0x78, ...ldapResult, octets("1.2.3", 0x8a)),
    ],
  },
];

export interface OddOptions {
  readonly seed: number;
  readonly count: number;
  /** Called with what broke the rule, before the error is thrown. */
  broken?(bytes: Buffer): void;
}

/** How many were taken for an answer, for none, and for a part of one. */
export interface OddOutcome {
  answers: number;
  refused: number;
  unfinished: number;
}

/** Reads `count` odd answers; throws what a reader must not throw. */
export function readOddAnswers(protocol: Protocol, { seed, count, broken }: OddOptions): OddOutcome {
  const random = seeded(seed);
  const outcome: OddOutcome = { answers: 0, refused: 0, unfinished: 0 };
  for (let round = 0; round < count; round++) {
    const bytes = odd(protocol.samples, random);
    try {
      const whole = taken(protocol, bytes);
      outcome[whole.kind]++;
      const part = taken(protocol, bytes.subarray(0, random(bytes.length + 1)));
      if (part.kind === "answers" && part.length !== whole.length) throw new Error("a part is another answer");
      if (whole.length > bytes.length) throw new Error("an answer is longer than what came");
    } catch (error) {
      broken?.(bytes);
      throw error;
    }
  }
  return outcome;
}

/** What is made of it. Errors of other kinds than are meant for this are the reader's faults. */
function taken(
  { framing, read }: Protocol,
  bytes: Buffer,
): { readonly kind: keyof OddOutcome; readonly length: number } {
  try {
    const framed = framing(bytes);
    if (!framed) return { kind: "unfinished", length: 0 };
    read(framed.answer);
    return { kind: "answers", length: framed.length };
  } catch (error) {
    const meant = error instanceof TableError || error instanceof BerError;
    if (!meant && (error as Error).constructor !== Error) throw error;
    return { kind: "refused", length: 0 };
  }
}

/** A sample, or two, with bytes that are changed, lost, or come twice. */
function odd(samples: readonly Buffer[], random: Random): Buffer {
  const one = (): Buffer => samples[random(samples.length)] as Buffer;
  let bytes = random(4) === 0 ? Buffer.concat([one(), one()]) : Buffer.from(one());
  for (let changes = random(5); changes > 0 && bytes.length > 0; changes--) {
    const at = random(bytes.length);
    const kind = random(5);
    if (kind === 0) bytes[at] = random(256);
    else if (kind === 1) bytes[at] = (bytes[at] as number) ^ (1 << random(8));
    else if (kind === 2) bytes = Buffer.from(bytes.subarray(0, at));
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
    else bytes[at] = [0, 0x30, 0x39, 0x20, 0x0a, 0x0d, 0x25, 0x2c, 0x3a, 0x7f, 0x80, 0x84, 0xff][random(13)] as number;
  }
  return bytes;
}
