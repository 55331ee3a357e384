import { crc32 } from "node:zlib";
import { shortCrc32 } from "./short-crc32.ts";

/**
 * What sendmail writes into the maildrop directory and pickup reads:
 *
 *     {"version":1,"sender":"a@example","recipients":["b@example"],…}\n
 *     the message, byte for byte as it was given
 *     \n{"end":true,"size":1234,"crc":305419896}\n
 *
 * The last line proves that the file is whole: a machine may stop between any
 * two writes, and a mode bit alone says nothing of the bytes. Its size and
 * checksum (CRC-32) are of the message between the two lines.
 */
export interface SubmissionHead {
  readonly version: 1;
  /** Envelope sender; undefined: the submitting user's own address. */
  readonly sender: string | undefined;
  readonly recipients: readonly string[];
  /** For a From: header that has to be made. */
  readonly fullName: string;
  readonly notify: readonly ("NEVER" | "SUCCESS" | "FAILURE" | "DELAY")[] | undefined;
  readonly ret: "FULL" | "HDRS" | undefined;
  readonly envid: string | undefined;
  /** Lines end with CRLF already (from an SMTP session); otherwise LF ends a line. */
  readonly crlf: boolean;
  readonly smtputf8: boolean;
  /** Name of the submitting program, for log lines. */
  readonly service: "sendmail" | "smtpd";
  /** Mail on its way through: its headers are neither completed nor rewritten. */
  readonly gateway: boolean;
}

/** The longest first line. */
export const headLimit_bytes = 8 * 1024 * 1024;

/** The most recipients of one message from sendmail. */
export const recipientLimit = 100_000;

/** The longest address (Postfix: line_length_limit); what can be delivered to is far shorter (RFC 5321 section 4.5.3.1.3). */
export const addressLimit_chars = 2048;

const tailLimit_bytes = 96;

export class SubmissionError extends Error {}

export function formatHead(head: SubmissionHead): Buffer {
  return Buffer.from(`${JSON.stringify(head)}\n`);
}

/** Up to here zlib, quick as it is, takes longer to load than it saves. */
const short_bytes = 16 * 1024;

/** Follows the message's bytes as they are written, to form the last line. */
export class SubmissionSeal {
  #size = 0;
  #crc = 0;

  add(bytes: Uint8Array): void {
    this.#size += bytes.length;
    this.#crc = bytes.length > short_bytes ? crc32(bytes, this.#crc) : shortCrc32(bytes, this.#crc);
  }

  get size_bytes(): number {
    return this.#size;
  }

  tail(): Buffer {
    return Buffer.from(`\n${JSON.stringify({ end: true, size: this.#size, crc: this.#crc })}\n`);
  }

  matches(size: number, crc: number): boolean {
    return size === this.#size && crc === this.#crc;
  }
}

/** The first line of a file that is in memory as far as `bytes`, and where the message begins. */
export function parseHead(bytes: Buffer): { head: SubmissionHead; end: number } {
  const newline = bytes.indexOf(10);
  if (newline < 0) throw new SubmissionError("has no first line");
  return { head: headOf(parseJson(bytes.subarray(0, newline))), end: newline + 1 };
}

/** The last line: where it begins, counted from the end of the file, and what it says. `last` is the end of the file, at least tailLimit_bytes of it. */
export function parseTail(last: Buffer): { length: number; size: number; crc: number } {
  const newline = last.length < 2 ? -1 : last.lastIndexOf(10, last.length - 2);
  if (newline < 0 || last.at(-1) !== 10) throw new SubmissionError("has no last line: it was not written to its end");
  const tail = parseJson(last.subarray(newline + 1, -1)) as { end?: unknown; size?: unknown; crc?: unknown };
  if (tail.end !== true || typeof tail.size !== "number" || typeof tail.crc !== "number") {
    throw new SubmissionError("has no last line: it was not written to its end");
  }
  return { length: last.length - newline, size: tail.size, crc: tail.crc };
}

export { tailLimit_bytes };

function parseJson(bytes: Buffer): object {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Not JSON: said below, as for any other value.
  }
  throw new SubmissionError("has a line that is not what sendmail writes");
}

const notifyWords = ["NEVER", "SUCCESS", "FAILURE", "DELAY"] as const;

function headOf(value: object): SubmissionHead {
  const given = value as Partial<Record<keyof SubmissionHead, unknown>>;
  if (given.version !== 1) throw new SubmissionError("is of a version that is not known here");
  if (!isTexts(given.recipients) || given.recipients.length === 0) throw new SubmissionError("names no recipients");
  if (given.recipients.length > recipientLimit)
    throw new SubmissionError(`names more than ${recipientLimit} recipients`);
  const sender = optionalText(given.sender);
  if ([sender ?? "", ...given.recipients].some(({ length }) => length > addressLimit_chars)) {
    throw new SubmissionError(`has an address of more than ${addressLimit_chars} characters`);
  }
  const notify = isTexts(given.notify)
    ? notifyWords.filter((word) => (given.notify as string[]).includes(word))
    : undefined;
  return {
    version: 1,
    sender,
    recipients: given.recipients,
    fullName: optionalText(given.fullName) ?? "",
    notify: notify && notify.length > 0 ? notify : undefined,
    ret: given.ret === "FULL" || given.ret === "HDRS" ? given.ret : undefined,
    envid: optionalText(given.envid),
    crlf: given.crlf === true,
    smtputf8: given.smtputf8 === true,
    service: given.service === "smtpd" ? "smtpd" : "sendmail",
    gateway: given.gateway === true,
  };
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((each) => typeof each === "string");

const optionalText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
