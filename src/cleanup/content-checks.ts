/**
 * The content checks of one message on its way in (header_checks(5)): each field and line is shown to its
 * table, and what the table says is done to it, or noted for the whole message.
 *
 * Invariants
 *  1. What no table speaks of goes on byte for byte.
 *  2. After REJECT, DISCARD, REDIRECT and PASS no table is asked any more.
 *  3. A table that cannot tell refuses the message for now; so does REJECT with 4.x.x.
 */
import {
  type CheckAnswer,
  type CheckedThing,
  emptyAnswer,
  parseAnswer,
  shown,
  shownText_bytes,
  unusable,
  written,
} from "../content/action.ts";
import type { ContentField, ContentLine, ContentVisitor } from "../content/content-reader.ts";
import type { MimeProblem } from "../content/mime-structure.ts";
import type { Log } from "../log/log.ts";
import { type Reply, reply } from "../rfc5321/reply.ts";
import type { Answer } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import type { CheckMaps, ContentRules } from "./content-rules.ts";

export interface ContentChecksOptions {
  readonly rules: ContentRules;
  readonly id: string;
  /** ` from unknown[192.0.2.1]; from=<…> to=<…> proto=… helo=<…>`, as far as it is known. */
  about(): string;
  readonly log: Log;
  /** A field of the message's own header, as it stays or has become. */
  field(raw: Buffer): Answer<void>;
  /** A field of the message's own header that is left out. */
  dropped(name: string): void;
  /** A field that goes on as it is and counts for nothing. */
  verbatim(raw: Buffer): void;
  /** Of text, and of headers of parts. */
  out(raw: Buffer): void;
  endOfHeader(): void;
  fail(answer: Reply): void;
}

/** What REJECT without a text says. */
const contentRejected = "message content rejected";

/** The first that a message suffers from is told. */
const problemTexts: readonly (readonly [MimeProblem, string])[] = [
  ["nesting", "MIME nesting exceeds safety limit"],
  ["8-bit header", "improper use of 8-bit data in message header"],
  ["8-bit text", "improper use of 8-bit data in message body"],
  ["encoding", "invalid message/* or multipart/* encoding domain"],
];

const shownContent_bytes = 200;
const shownProblem_bytes = 100;
const lineEnd = Buffer.from("\r\n");

export class ContentChecks implements ContentVisitor {
  /** DISCARD: the sender is told that it was taken, and nobody gets it. */
  discarded = false;
  held = false;
  /** FILTER: "transport:nexthop". */
  filter: string | undefined;
  /** REDIRECT: who gets it in place of all its recipients. */
  redirect: string | undefined;
  /** BCC: more recipients. */
  readonly bcc = new Set<string>();
  readonly admit?: (text: Buffer) => Buffer | undefined;
  readonly #options: ContentChecksOptions;
  readonly #problems = new Set<MimeProblem>();
  #checking = true;
  #stopped = false;

  constructor(options: ContentChecksOptions) {
    this.#options = options;
    if (options.rules.strip || options.rules.refuse) this.admit = (text) => this.#admit(text);
  }

  /** The message goes no further, for whatever reason. */
  stop(): void {
    this.#stopped = true;
  }

  field(field: ContentField): Answer<void> {
    if (this.#stopped) return undefined;
    const checks = this.#options.rules[field.class];
    const primary = field.place === "primary";
    const done = (answer: Buffer | undefined): Answer<void> => {
      if (this.#stopped) return undefined;
      const kept = answer ? this.#act(answer, "header", checks.parameter, field.key, field.raw) : field.raw;
      if (this.#stopped) return undefined;
      if (!kept) return primary ? this.#options.dropped(field.name) : undefined;
      return primary ? this.#options.field(kept) : this.#options.out(kept);
    };
    return this.#ask(checks, field.key, done);
  }

  endOfHeader(): void {
    if (!this.#stopped) this.#options.endOfHeader();
  }

  line(line: ContentLine): Answer<void> {
    if (this.#stopped) return undefined;
    const { rules, out } = this.#options;
    if (rules.body.maps.empty || (rules.bodyLimit_bytes > 0 && line.offset >= rules.bodyLimit_bytes)) {
      return out(line.raw);
    }
    const done = (answer: Buffer | undefined): void => {
      if (this.#stopped) return;
      const kept = answer ? this.#act(answer, "body", rules.body.parameter, line.text, line.raw) : line.raw;
      if (kept && !this.#stopped) out(kept);
    };
    return this.#ask(rules.body, line.text, done);
  }

  problem(kind: MimeProblem, near: Buffer): void {
    if (this.#stopped || !this.#checking) return;
    this.#problems.add(kind);
    const { id, log } = this.#options;
    // The protocol and the client's name for itself are not among what is told here.
    const who = this.#options.about().replace(/ proto=.*$/s, "");
    log.info(`${id}: reject: mime-error ${textOf(kind)}: ${shown(near, shownProblem_bytes)}${who}`);
  }

  /** The text has ended: what its structure suffers from is told now, unless something else was. */
  conclude(): void {
    const worst = problemTexts.find(([kind]) => this.#problems.has(kind));
    if (worst && !this.#stopped && !this.discarded) this.#fail(reply(550, "5.6.0", worst[1]));
  }

  #ask(checks: CheckMaps, key: Buffer, done: (answer: Buffer | undefined) => Answer<void>): Answer<void> {
    if (!this.#checking || checks.maps.empty) return done(undefined);
    let answer: Answer<Buffer | undefined>;
    try {
      answer = checks.maps.findBytes(key);
    } catch (error) {
      return this.#cannotTell(error, checks);
    }
    const told = (value: Buffer | undefined): Answer<void> =>
      value?.length === 0 ? this.#cannotTell(emptyAnswer(checks.parameter, key), checks) : done(value);
    if (!(answer instanceof Promise)) return told(answer);
    return answer.then(told, (error: unknown) => this.#cannotTell(error, checks));
  }

  #cannotTell(error: unknown, { parameter }: CheckMaps): void {
    if (!(error instanceof TableError)) throw error;
    const { id, log } = this.#options;
    for (const line of error.message.split("\n")) log.warning(line);
    log.warning(`${id}: ${parameter} map lookup problem -- message not accepted, try again later`);
    this.#fail(reply(451, "4.3.0", "Error: queue file write error"));
  }

  /** Does what a table says; gives what stands in place of `raw`, or undefined where nothing does. */
  #act(value: Buffer, thing: CheckedThing, map: string, near: Buffer, raw: Buffer): Buffer | undefined {
    const answer = parseAnswer(value);
    switch (answer.action) {
      case "DUNNO":
      case "OK":
        return raw;
      case "IGNORE":
        return undefined;
      case "STRIP":
        this.#log("strip", thing, near, answer.text);
        return undefined;
      case "WARN":
        this.#log("warning", thing, near, answer.text);
        return raw;
      case "INFO":
        this.#log("info", thing, near, answer.text);
        return raw;
      case "PREPEND":
      case "REPLACE":
        return this.#put(answer, thing, map, near, raw);
      case "REJECT":
        this.#reject(answer.text, thing, near);
        return undefined;
      default:
        this.#note(answer, thing, map, near);
        return raw;
    }
  }

  #put(answer: CheckAnswer, thing: CheckedThing, map: string, near: Buffer, raw: Buffer): Buffer {
    const why = unusable(answer, thing, map);
    if (why !== undefined) {
      this.#options.log.warning(why);
      return raw;
    }
    this.#log(answer.action.toLowerCase(), thing, near, answer.text);
    const text = written(answer.text, thing);
    if (answer.action === "PREPEND") {
      this.#options[thing === "header" ? "verbatim" : "out"](Buffer.concat([text, lineEnd]));
      return raw;
    }
    // Of a long line only a piece is replaced, and the line goes on.
    return raw.at(-1) === lineEnd[1] ? Buffer.concat([text, lineEnd]) : text;
  }

  /** What is for the whole message. */
  #note({ action, text, value }: CheckAnswer, thing: CheckedThing, map: string, near: Buffer): void {
    const { log } = this.#options;
    const argument = shown(text);
    switch (action) {
      case "PASS":
        this.#log("pass", thing, near, text);
        this.#checking = false;
        return;
      case "DISCARD":
        this.#log("discard", thing, near, text);
        this.discarded = true;
        this.#checking = false;
        return;
      case "HOLD":
        if (!this.held) this.#log("hold", thing, near, text);
        this.held = true;
        return;
      case "FILTER":
        if (text === "") log.warning(`missing FILTER command argument in ${map} map`);
        else if (!text.includes(":")) {
          log.warning(`bad FILTER command ${argument} in ${map} -- need transport:destination`);
        } else {
          this.filter = argument;
          this.#log("filter", thing, near, text);
        }
        return;
      case "REDIRECT":
        if (!text.includes("@")) {
          log.warning(`bad REDIRECT target "${argument}" in ${map} map -- need user@domain`);
          return;
        }
        this.redirect = argument;
        this.#log("redirect", thing, near, text);
        this.#checking = false;
        return;
      case "BCC":
        if (!text.includes("@")) {
          log.warning(`bad BCC address "${argument}" in ${map} map -- need user@domain`);
          return;
        }
        this.bcc.add(argument);
        this.#log("bcc", thing, near, text);
        return;
      default:
        log.warning(`unknown command in ${map} map: ${shown(value, shownText_bytes)}`);
    }
  }

  /** The text may begin with an enhanced status code of its own. */
  #reject(text: string, thing: CheckedThing | "content", near: Buffer): void {
    const { log } = this.#options;
    const [, code, rest] = /^([245]\.\d{1,3}\.\d{1,3})(?:[ \t]+(.*))?$/s.exec(text) ?? [];
    let enhanced = code ?? "5.7.1";
    if (enhanced.startsWith("2")) {
      log.warning(`bad DSN action in ${shown(text)} -- need 4.x.x or 5.x.x`);
      enhanced = `4${enhanced.slice(1)}`;
    }
    const said = shown(code === undefined ? text || contentRejected : (rest ?? ""), shownText_bytes);
    this.#log("reject", thing, near, Buffer.from(`${enhanced} ${said}`).toString("latin1"));
    this.#fail(reply(enhanced.startsWith("4") ? 451 : 550, enhanced, said));
  }

  #fail(answer: Reply): void {
    // Who discards a message does not want to hear of it.
    if (this.discarded) return;
    this.#stopped = true;
    this.#options.fail(answer);
  }

  /** `text`: one character a byte. */
  #log(action: string, thing: CheckedThing | "content", near: Buffer, text: string): void {
    const { id, log } = this.#options;
    const said = text === "" ? "" : `: ${shown(text, shownText_bytes)}`;
    log.info(`${id}: ${action}: ${thing} ${shown(near, shownContent_bytes)}${this.#options.about()}${said}`);
  }

  #admit(text: Buffer): Buffer | undefined {
    const { strip, refuse } = this.#options.rules;
    if (!this.#checking || this.#stopped) return text;
    if (refuse && text.some((byte) => refuse.has(byte))) {
      this.#reject("disallowed character", "content", text);
      return undefined;
    }
    return strip && text.some((byte) => strip.has(byte)) ? (text.filter((byte) => !strip.has(byte)) as Buffer) : text;
  }
}

const textOf = (kind: MimeProblem): string => problemTexts.find(([each]) => each === kind)?.[1] ?? kind;
