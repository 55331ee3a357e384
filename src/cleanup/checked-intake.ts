import { ContentReader } from "../content/content-reader.ts";
import type { Log } from "../log/log.ts";
import type { Origin } from "../queue/message.ts";
import type { Reply } from "../rfc5321/reply.ts";
import { scanHeader } from "../rfc5322/header.ts";
import { chain } from "../routing/answer.ts";
import type { Answer } from "../table/maps.ts";
import { ContentChecks } from "./content-checks.ts";
import type { ContentRules } from "./content-rules.ts";
import type { HeaderWork } from "./header-work.ts";
import { isMailboxLine, mailboxLine } from "./mailbox-line.ts";

export interface CheckedIntakeOptions {
  readonly rules: ContentRules;
  readonly id: string;
  readonly origin: Origin;
  /** Asked when there is something to log: it may have to be looked up first. */
  sender(): string;
  /** The last one. */
  recipient(): string | undefined;
  readonly work: HeaderWork;
  readonly log: Log;
  readonly mailboxLines: "drop" | "keep";
  /** Takes what goes on, in order. */
  out(piece: Buffer): void;
  /** After each field of the message's own header. */
  endOfField(): void;
  /** Once, between the last field and what follows: adds what is missing. */
  endOfHeader(): void;
  fail(answer: Reply): void;
}

const newline = 10;

/**
 * A whole text on its way through content checks, header and body; stands where HeaderIntake does for
 * messages that nobody wants to look into. A table may be a server: begin(), add() and finish() then answer later,
 * and nothing may be added meanwhile.
 */
export class CheckedIntake {
  readonly checks: ContentChecks;
  readonly #reader: ContentReader;
  readonly #mailboxLines: "drop" | "keep";
  readonly #firstLine_bytes: number;
  /** What has come before it is known that the mailbox lines are over. */
  #start: Buffer | undefined = Buffer.alloc(0);

  constructor(options: CheckedIntakeOptions) {
    const { rules, id, work, log, out, endOfField } = options;
    this.checks = new ContentChecks({
      ...{ rules, id, log, out, about: () => about(options) },
      field: (raw) => chain(work.fields(raw, scanHeader(raw, true), out), () => endOfField()),
      dropped(name) {
        work.dropped(name);
        endOfField();
      },
      verbatim(raw) {
        work.verbatim(raw);
        out(raw);
      },
      endOfHeader: () => options.endOfHeader(),
      fail: (answer) => options.fail(answer),
    });
    this.#reader = new ContentReader({ limits: rules.limits, mime: rules.parts, watch: rules.watch }, this.checks);
    this.#mailboxLines = options.mailboxLines;
    this.#firstLine_bytes = rules.limits.line_bytes;
  }

  /** A header that we put before the text ourselves: checked like any other. */
  begin(field: Buffer): Answer<void> {
    return this.#reader.add(field);
  }

  add(text: Buffer): Answer<void> {
    const ready = this.#behindMailboxLines(text, false);
    return ready.length > 0 ? this.#reader.add(ready) : undefined;
  }

  finish(): Answer<void> {
    const added = this.#reader.add(this.#behindMailboxLines(Buffer.alloc(0), true));
    return chain(added, () => chain(this.#reader.finish(), () => this.checks.conclude()));
  }

  #behindMailboxLines(text: Buffer, final: boolean): Buffer {
    if (!this.#start) return text;
    const bytes = Buffer.concat([this.#start, text]);
    const pieces: Buffer[] = [];
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(newline, at);
      if (end < 0 && !final && bytes.length - at <= this.#firstLine_bytes) {
        this.#start = bytes.subarray(at);
        return Buffer.concat(pieces);
      }
      if (at === bytes.length || (end < 0 && !final) || !isMailboxLine(bytes, at)) break;
      const next = end < 0 ? bytes.length : end + 1;
      if (this.#mailboxLines === "keep") pieces.push(mailboxLine(bytes.subarray(at, next)));
      at = next;
    }
    this.#start = undefined;
    return pieces.length === 0 ? bytes.subarray(at) : Buffer.concat([...pieces, bytes.subarray(at)]);
  }
}

/** What the log says of the message behind the line that was checked. */
function about({ origin, sender, recipient }: CheckedIntakeOptions): string {
  const last = recipient();
  const to = last === undefined ? "" : ` to=<${last}>`;
  const protocol = origin.protocol === "" ? "" : ` proto=${origin.protocol}`;
  const helo = origin.helo === "" ? "" : ` helo=<${origin.helo}>`;
  return ` from ${origin.client || "local"}; from=<${sender()}>${to}${protocol}${helo}`;
}
