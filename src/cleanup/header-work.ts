import { isAscii } from "node:buffer";
import type { Log } from "../log/log.ts";
import { formatFullName } from "../rfc5322/full-name.ts";
import { fieldText, type HeaderField, type ScannedHeader } from "../rfc5322/header.ts";
import { fieldLines, headerLines } from "../rfc5322/header-lines.ts";
import { messageId } from "../rfc5322/message-id.ts";
import { fieldRole } from "../routing/address-fields.ts";
import type { Answer } from "../table/maps.ts";
import type { HeaderAddresses } from "./header-addresses.ts";

/** The same for every message of a relay. */
export interface HeaderRules {
  /** Names of fields to take out, in lower case. */
  readonly drop: ReadonlySet<string>;
  readonly fieldLimit_bytes: number;
  readonly myhostname: string;
  readonly undisclosedHeader: string;
  /** How a From: that is added looks with a full name: "Name <address>", or "address (Name)". */
  readonly fromFormat: "standard" | "obsolete";
}

/** Read while the header passes: what is not known before tables have answered is filled in by then. */
export interface HeaderSubject {
  readonly id: string;
  readonly arrival_ms: number;
  /** What becomes of addresses; undefined where they are left alone. */
  readonly addresses: HeaderAddresses | undefined;
  /** Missing fields are added. */
  readonly complete: boolean;
  /** Canonical; "" for the null sender. */
  readonly sender: string;
  readonly fullName: string;
  /** The text of a Date: for the message's arrival. */
  date(): string;
}

const isField = /^[\x21-\x39\x3b-\x7e]+[ \t]*:/;
const wanted = 'need "headername: headervalue"';

const destinations = ["to", "cc", "resent-to", "resent-cc"];

/** What is added where it is missing, or what decides about that. */
const missed = new Set([
  ...destinations,
  ...["message-id", "date", "from"].flatMap((name) => [name, `resent-${name}`]),
]);

/** So many message identifiers of one message are logged, each no longer than this. */
const mostLogged = 10;
const longestLogged = 1000;

/**
 * One message's header, as it passes: fields are dropped, shortened, mended and
 * rewritten; what is not changed goes out as the ranges of the buffer it came
 * in. At the header's end, what is missing is added.
 */
export class HeaderWork {
  readonly #rules: HeaderRules;
  readonly #subject: HeaderSubject;
  readonly #log: Log;
  /** Of those that might have to be added, no others: a message may have any number of names. */
  readonly #seen = new Set<string>();
  #logged = 0;
  #resent = false;
  hops = 0;
  /** A field has octets above 127. */
  nonAscii = false;

  constructor(rules: HeaderRules, subject: HeaderSubject, log: Log) {
    this.#rules = rules;
    this.#subject = subject;
    this.#log = log;
  }

  /**
   * The fields of `scanned` as they go on; what stands behind them in `bytes` is not touched. Later where a table
   * answers later. Throws, or rejects with, a TableError.
   */
  fields(bytes: Buffer, scanned: ScannedHeader, out: (piece: Buffer) => void): Answer<void> {
    if (!this.nonAscii && !isAscii(bytes.subarray(0, scanned.end))) this.nonAscii = true;
    return this.#fieldsFrom(0, 0, bytes, scanned, out);
  }

  /** What stands before `kept` has gone out, or must not. */
  #fieldsFrom(
    first: number,
    kept: number,
    bytes: Buffer,
    scanned: ScannedHeader,
    out: (piece: Buffer) => void,
  ): Answer<void> {
    const { fields, end } = scanned;
    let from = kept;
    for (let index = first; index < fields.length; index++) {
      const field = fields[index] as HeaderField;
      const changed = this.#field(bytes, field);
      if (changed === undefined) continue;
      if (field.start > from) out(bytes.subarray(from, field.start));
      from = field.end;
      if (changed instanceof Promise) {
        return changed.then((lines) => {
          out(lines ?? bytes.subarray(field.start, field.end));
          return this.#fieldsFrom(index + 1, field.end, bytes, scanned, out);
        });
      }
      if (changed.length > 0) out(changed);
    }
    if (end > from) out(bytes.subarray(from, end));
  }

  /** A field that goes out as it is, and of which nothing else is to be noted. */
  verbatim(bytes: Buffer): void {
    if (!isAscii(bytes)) this.nonAscii = true;
  }

  /** A field that was taken out before it came here: it has been on its way all the same. */
  dropped(name: string): void {
    if (name === "received") this.hops++;
  }

  /** The fields that the message should have had, with their line ends. */
  missing(): string {
    const { id, arrival_ms, sender, complete } = this.#subject;
    const prefix = this.#resent ? "Resent-" : "";
    const lacks = (name: string) => complete && !this.#seen.has(prefix.toLowerCase() + name);
    let added = "";
    if (lacks("message-id")) {
      const made = messageId(id, this.#rules.myhostname, arrival_ms);
      added += `${prefix}Message-Id: ${made}\r\n`;
      this.#log.info(`${id}: ${prefix.toLowerCase()}message-id=${made}`);
      if (!this.#resent) this.#seen.add("message-id");
    }
    if (!this.#seen.has("message-id")) this.#log.info(`${id}: message-id=<>`);
    if (lacks("date")) added += `${prefix}Date: ${this.#subject.date()}\r\n`;
    if (lacks("from")) added += `${prefix}From: ${this.#from(sender)}\r\n`;
    const { undisclosedHeader } = this.#rules;
    if (complete && undisclosedHeader !== "" && !destinations.some((name) => this.#seen.has(name))) {
      if (isField.test(undisclosedHeader)) added += `${undisclosedHeader}\r\n`;
      else this.#log.warning(`bad undisclosed_recipients_header header text "${undisclosedHeader}" -- ${wanted}`);
    }
    return added;
  }

  #from(sender: string): string {
    if (sender === "") return "MAILER-DAEMON";
    const { fullName } = this.#subject;
    const name = formatFullName(fullName);
    if (name === "") return sender;
    if (this.#rules.fromFormat === "standard") return `${name} <${sender}>`;
    return `${sender} (${isAscii(Buffer.from(fullName)) ? fullName.replace(/[\r\n]/g, " ") : name})`;
  }

  /** What stands in a field's place; undefined where it stays as it is. */
  #field(bytes: Buffer, field: HeaderField): Answer<Buffer | undefined> {
    const { name, start, nameEnd, colon, end } = field;
    this.#note(bytes, field);
    if (this.#rules.drop.has(name)) return nothing;
    const { addresses } = this.#subject;
    const rewritten =
      addresses && fieldRole(name)
        ? addresses.rewrite(bytes.toString("latin1", start, nameEnd), fieldLines(bytes, colon + 1, end))
        : undefined;
    const limit = this.#rules.fieldLimit_bytes;
    const lines = (text: string | undefined): Buffer | undefined => {
      if (text !== undefined) {
        if (/[^\x00-\x7f]/.test(text)) this.nonAscii = true;
        return headerLines(text, limit);
      }
      if (nameEnd === colon && end - start <= limit) return undefined;
      return headerLines(bytes.toString("latin1", start, nameEnd) + fieldLines(bytes, colon, end), limit);
    };
    return rewritten instanceof Promise ? rewritten.then(lines) : lines(rewritten);
  }

  #note(bytes: Buffer, field: HeaderField): void {
    const { name } = field;
    if (missed.has(name)) this.#seen.add(name);
    if (name === "received") this.hops++;
    else if (name.startsWith("resent-") && addressOrMarkOfResent.has(name)) this.#resent = true;
    if ((name === "message-id" || name === "resent-message-id") && this.#logged++ < mostLogged) {
      const value = Buffer.from(fieldText(bytes, field).slice(0, longestLogged), "latin1")
        .toString()
        .replace(/[\x00-\x1f\x7f]/g, "?");
      this.#log.info(`${this.#subject.id}: ${name}=${value}`);
    }
  }
}

const addressOrMarkOfResent = new Set(
  ["bcc", "cc", "date", "from", "message-id", "reply-to", "sender", "to"].map((name) => `resent-${name}`),
);

const nothing = Buffer.alloc(0);
