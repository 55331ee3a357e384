import { isAscii } from "node:buffer";
import type { Log } from "../log/log.ts";
import { formatTokens, parseAddressList, plainTokens, type Token } from "../rfc5322/addresses.ts";
import { formatFullName } from "../rfc5322/full-name.ts";
import { fieldText, type HeaderField, type ScannedHeader } from "../rfc5322/header.ts";
import { messageId } from "../rfc5322/message-id.ts";
import type { Rewriter } from "../routing/rewrite.ts";
import { foldList } from "./fold-list.ts";

/** The same for every message of a relay. */
export interface HeaderRules {
  readonly rewriter: Rewriter;
  /** Names of fields to take out, in lower case. */
  readonly drop: ReadonlySet<string>;
  readonly fieldLimit_bytes: number;
  readonly tokenLimit: number;
  readonly myhostname: string;
  readonly undisclosedHeader: string;
}

export interface HeaderSubject {
  readonly id: string;
  readonly arrival_ms: number;
  /** Addresses without a domain are completed. */
  readonly rewrite: boolean;
  /** Missing fields are added. */
  readonly complete: boolean;
  /** Canonical; "" for the null sender. */
  readonly sender: string;
  readonly fullName: string;
  /** The text of a Date: for the message's arrival. */
  date(): string;
}

/** Fields whose addresses are rewritten for local clients. */
const addressFields = new Set([
  ...["from", "sender", "reply-to", "to", "cc", "bcc", "apparently-to", "errors-to", "return-receipt-to"],
  ...["disposition-notification-to", "mail-followup-to", "return-path"],
  ...["resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc", "resent-bcc"],
]);

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

  /** The fields of `scanned` as they go on; what stands behind them in `bytes` is not touched. */
  fields(bytes: Buffer, scanned: ScannedHeader, out: (piece: Buffer) => void): void {
    let kept = 0;
    for (const field of scanned.fields) {
      const changed = this.#field(bytes, field);
      if (changed === undefined) continue;
      if (field.start > kept) out(bytes.subarray(kept, field.start));
      for (const piece of changed) out(piece);
      kept = field.end;
    }
    if (scanned.end > kept) out(bytes.subarray(kept, scanned.end));
    if (!this.nonAscii && !isAscii(bytes.subarray(0, scanned.end))) this.nonAscii = true;
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
    if (lacks("from")) added += `${prefix}From: ${this.#from(sender, prefix)}\r\n`;
    const { undisclosedHeader } = this.#rules;
    if (complete && undisclosedHeader !== "" && !destinations.some((name) => this.#seen.has(name))) {
      added += `${undisclosedHeader}\r\n`;
    }
    return added;
  }

  #from(sender: string, prefix: string): string {
    if (sender === "") return "MAILER-DAEMON";
    const name = formatFullName(this.#subject.fullName);
    if (name === "") return sender;
    const first = `${prefix}From: ${name}`.length;
    return `${name}${first + sender.length + 3 < 70 ? " " : "\r\n\t"}<${sender}>`;
  }

  /** What stands in a field's place; undefined where it stays as it is. */
  #field(bytes: Buffer, field: HeaderField): Buffer[] | undefined {
    const { name, start, nameEnd, colon, end } = field;
    this.#note(bytes, field);
    if (this.#rules.drop.has(name)) return [];
    const rewritten = this.#subject.rewrite && addressFields.has(name) ? this.#rewritten(bytes, field) : undefined;
    if (rewritten === undefined && nameEnd === colon && end - start <= this.#rules.fieldLimit_bytes) return undefined;
    const value = rewritten ?? bytes.subarray(colon, end);
    return [bytes.subarray(start, nameEnd), shortened(value, this.#rules.fieldLimit_bytes - (nameEnd - start))];
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

  /**
   * The colon and what follows, where rewriting changes an address; each is
   * replaced where it stands. Commas that are missing are then put in, lest a
   * completed address be read as a part of its neighbour.
   */
  #rewritten(bytes: Buffer, { start, nameEnd, colon, end }: HeaderField): Buffer | undefined {
    const text = bytes.toString("latin1", colon, end);
    const behindColon = 1;
    let result = "";
    let from = 0;
    let changed = false;
    for (const address of parseAddressList(text.slice(behindColon), this.#rules.tokenLimit)) {
      if (address.commaMissingAt !== undefined) {
        result += `${text.slice(from, address.commaMissingAt + behindColon)},`;
        from = address.commaMissingAt + behindColon;
      }
      const canonical = this.#canonical(address.tokens);
      if (canonical === undefined) continue;
      result += text.slice(from, address.start + behindColon) + [canonical, ...address.comments].join(" ");
      from = address.end + behindColon;
      changed = true;
    }
    if (!changed) return undefined;
    return Buffer.from(foldList(result + text.slice(from), nameEnd - start, this.#rules.tokenLimit), "latin1");
  }

  /** An address as it should be written; undefined where it is already. */
  #canonical(given: readonly Token[]): string | undefined {
    const tokens = this.#rules.rewriter.rewriteTokens(given);
    return plainTokens(tokens) === plainTokens(given) ? undefined : formatTokens(tokens) || undefined;
  }
}

const addressOrMarkOfResent = new Set(
  ["bcc", "cc", "date", "from", "message-id", "reply-to", "sender", "to"].map((name) => `resent-${name}`),
);

/** A field's value no longer than the limit, cut at a line's end if that is not too early; always with a line end. */
function shortened(value: Buffer, limit_bytes: number): Buffer {
  if (value.length <= limit_bytes) return value;
  const line = value.lastIndexOf("\n", limit_bytes - 1);
  if (line > 0.9 * limit_bytes) return value.subarray(0, line + 1);
  return Buffer.concat([value.subarray(0, limit_bytes), Buffer.from("\r\n")]);
}
