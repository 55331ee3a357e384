import { explain } from "../advice/explain.ts";
import type { Explanation } from "../advice/explanation.ts";
import type { QueueEntry } from "../queue/store.ts";
import type { Paint } from "./paint.ts";
import { countText, durationText, momentText, numberText, printable, wrapped } from "./plain-time.ts";
import { nextHopOf, type RelayStatus } from "./status-text.ts";
import { type TopRow, topRows } from "./top-rows.ts";

/**
 * What `postern top` shows, and what keys do to it. Pure: samples and keys in, lines and orders out.
 *
 *   destinations -> messages   enter   those of the destination that is chosen
 *   messages     -> message    enter   the life of the one that is chosen
 *   any          -> the one before     back
 */
export type Order =
  | { readonly kind: "quit" }
  | { readonly kind: "flush"; readonly destination?: string; readonly id?: string }
  | { readonly kind: "hold" | "release"; readonly id: string }
  | { readonly kind: "open"; readonly destination: string }
  | { readonly kind: "look"; readonly id: string };

interface TopStyle {
  readonly paint: Paint;
  readonly zone: (time_ms: number) => number;
}

/** How long what came of an order is shown. */
const notice_ms = 6000;

export class TopModel {
  readonly #style: TopStyle;
  #view: "destinations" | "messages" | "message" = "destinations";
  #status: RelayStatus | undefined;
  #rows: readonly TopRow[] = [];
  #rates = "";
  #sampled_ms = 0;
  #now_ms = 0;
  /** By what they stand for: rows come and go. */
  #chosenKey = "";
  #chosenId = "";
  #destination = "";
  #messages: readonly QueueEntry[] = [];
  #story: readonly string[] = [];
  #scroll = 0;
  #page = 10;
  #notice = "";
  #noticeUntil_ms = 0;

  constructor(style: TopStyle) {
    this.#style = style;
  }

  /** A second has gone by. undefined: no relay answers. */
  sample(status: RelayStatus | undefined, now_ms: number): void {
    const seconds = (now_ms - this.#sampled_ms) / 1000;
    const before = this.#status;
    this.#rows = status ? topRows(status, before, seconds) : [];
    this.#rates = status ? ratesText(status, before, seconds) : "";
    this.#status = status;
    this.#sampled_ms = now_ms;
    this.#now_ms = now_ms;
  }

  showMessages(destination: string, messages: readonly QueueEntry[]): void {
    this.#view = "messages";
    this.#destination = destination;
    this.#messages = messages;
    if (!messages.some(({ envelope }) => envelope.id === this.#chosenId))
      this.#chosenId = messages[0]?.envelope.id ?? "";
  }

  showStory(text: string): void {
    this.#view = "message";
    this.#story = text.split("\n");
    this.#scroll = 0;
  }

  notice(text: string, now_ms: number): void {
    this.#notice = text;
    this.#noticeUntil_ms = now_ms + notice_ms;
  }

  /** The message or destination whose list should be read again after an order. */
  get open(): string | undefined {
    return this.#view === "messages" ? this.#destination : undefined;
  }

  entry(id: string): QueueEntry | undefined {
    return this.#messages.find(({ envelope }) => envelope.id === id);
  }

  key(key: string): Order | undefined {
    if (key === "q" || key === "interrupt") return { kind: "quit" };
    if (key === "F") return { kind: "flush" };
    if (key === "back") this.#back();
    const step = steps(this.#page)[key];
    if (step !== undefined) this.#move(step);
    else if (this.#view === "destinations") return this.#keyOnDestination(key);
    else if (this.#view === "messages") return this.#keyOnMessage(key);
    return undefined;
  }

  #keyOnDestination(key: string): Order | undefined {
    if (key === "m") return { kind: "open", destination: "" };
    const row = this.#rows[this.#at];
    if (!row) return undefined;
    if (key === "enter") return { kind: "open", destination: row.key };
    return key === "f" ? { kind: "flush", destination: row.key } : undefined;
  }

  #keyOnMessage(key: string): Order | undefined {
    const id = this.#messages[this.#at]?.envelope.id;
    if (id === undefined) return undefined;
    if (key === "enter") return { kind: "look", id };
    if (key === "f") return { kind: "flush", id };
    if (key === "h") return { kind: "hold", id };
    return key === "r" ? { kind: "release", id } : undefined;
  }

  #back(): void {
    if (this.#view === "message") this.#view = this.#messages.length > 0 ? "messages" : "destinations";
    else this.#view = "destinations";
  }

  get #at(): number {
    const at =
      this.#view === "destinations"
        ? this.#rows.findIndex(({ key }) => key === this.#chosenKey)
        : this.#messages.findIndex(({ envelope }) => envelope.id === this.#chosenId);
    return Math.max(0, at);
  }

  #move(by: number): void {
    if (this.#view === "message") {
      this.#scroll = clamp(this.#scroll + by, this.#story.length - 1);
    } else if (this.#view === "destinations") {
      this.#chosenKey = this.#rows[clamp(this.#at + by, this.#rows.length - 1)]?.key ?? "";
    } else {
      this.#chosenId = this.#messages[clamp(this.#at + by, this.#messages.length - 1)]?.envelope.id ?? "";
    }
  }

  /** As many lines as there are rows, none wider than there are columns. */
  lines(rows: number, columns: number): string[] {
    const { paint } = this.#style;
    const head = this.#head();
    const foot = [this.#notice !== "" && this.#now_ms < this.#noticeUntil_ms ? this.#notice : keysOf[this.#view]];
    const room = Math.max(1, rows - head.length - foot.length);
    this.#page = Math.max(1, room - 6);
    const body = this.#body(room, columns);
    const cut = (line: string): string => fitted(line, columns);
    return [
      ...head.map((line, at) => (at === 0 ? paint.strong(cut(line)) : cut(line))),
      ...Array.from({ length: room }, (_, at) => body[at] ?? ""),
      ...foot.map((line) => paint.faint(cut(line))),
    ].slice(0, rows);
  }

  #head(): string[] {
    const time = momentText(this.#now_ms, this.#now_ms, this.#style.zone);
    if (!this.#status)
      return [`postern top  ${time}`, "the mail system does not answer: it is not running, or is being restarted", ""];
    const { counts, sessions, scheduler } = this.#status;
    const { active, deferred, hold } = counts;
    return [
      `postern top  ${time}`,
      `queue: ${numberText(active)} active, ${numberText(deferred)} deferred, ${numberText(hold)} held; ` +
        `sessions in: ${numberText(sessions)}; deliveries: ${numberText(scheduler.inHand)}`,
      this.#rates,
      "",
    ];
  }

  #body(room: number, columns: number): string[] {
    if (this.#view === "message")
      return this.#story.slice(this.#scroll, this.#scroll + room).map((line) => fitted(line, columns));
    return this.#view === "messages" ? this.#messageLines(room, columns) : this.#destinationLines(room, columns);
  }

  #destinationLines(room: number, columns: number): string[] {
    const { paint } = this.#style;
    const name = Math.max(14, columns - 48);
    const cells = (...each: readonly string[]): string =>
      `${fitted(each[0] ?? "", name).padEnd(name)} ${(each[1] ?? "").padStart(8)} ${(each[2] ?? "").padStart(7)} ${(each[3] ?? "").padStart(7)} ${(each[4] ?? "").padStart(7)}  ${each[5] ?? ""}`;
    const detail = this.#detailLines(this.#rows[this.#at], columns);
    const lines = [
      paint.strong(fitted(cells("  DESTINATION", "BUSY", "WAITING", "SENT/S", "LATENCY", "STATE"), columns)),
    ];
    if (this.#rows.length === 0) lines.push("nothing is under way, and nothing was lately");
    const space = Math.max(1, room - lines.length - detail.length);
    const from = Math.max(0, Math.min(this.#at - space + 1, this.#rows.length - space));
    for (const [at, row] of this.#rows.slice(from, from + space).entries()) {
      const { nexthop, busy, concurrency, waiting, sentPerSecond, latency_ms, state } = row;
      const line = fitted(
        cells(
          `${from + at === this.#at ? ">" : " "} ${printable(nexthop)}`,
          `${busy} of ${concurrency}`,
          numberText(waiting),
          sentPerSecond.toFixed(1),
          latency_ms === undefined ? "-" : secondsText(latency_ms),
          state === "suspended" ? `alone ${durationText((row.until_ms ?? 0) - this.#now_ms)}` : state,
        ),
        columns,
      );
      const painted = row.refused ? paint.bad(line) : row.state === "suspended" ? paint.doubtful(line) : line;
      lines.push(from + at === this.#at ? paint.strong(line) : painted);
    }
    while (lines.length < room - detail.length) lines.push("");
    return [...lines, ...detail].slice(0, room);
  }

  /** The last error of the destination that is chosen, with what it means. */
  #detailLines(row: TopRow | undefined, columns: number): string[] {
    if (!row?.lastError) return [];
    const { reason, dsn, seen_ms } = row.lastError;
    const ago = durationText(Math.max(0, this.#now_ms - seen_ms));
    const explanation: Explanation | undefined = explain(reason, dsn);
    const help = explanation ? wrapped(`${explanation.meaning} ${explanation.remedy}`, "  ", columns) : [];
    return [
      "",
      fitted(`last error, ${ago} ago: ${printable(reason)}`, columns),
      ...help.slice(0, 4).map((line) => fitted(line, columns)),
    ];
  }

  #messageLines(room: number, columns: number): string[] {
    const { paint } = this.#style;
    const title = this.#destination === "" ? "messages" : `messages for ${printable(nextHopOf(this.#destination))}`;
    const lines = [paint.strong(fitted(`${title}: ${countText(this.#messages.length, "message")} shown`, columns))];
    const space = Math.max(1, room - 1);
    const from = Math.max(0, Math.min(this.#at - space + 1, this.#messages.length - space));
    for (const [at, { queue, envelope }] of this.#messages.slice(from, from + space).entries()) {
      const { id, sender, recipients, arrival_ms } = envelope;
      const to = recipients.find(({ status }) => status === "pending") ?? recipients[0];
      const more = recipients.length > 1 ? ` +${recipients.length - 1}` : "";
      const age = durationText(this.#now_ms - arrival_ms).padStart(7);
      const chosen = from + at === this.#at;
      const text = `${chosen ? ">" : " "} ${id.padEnd(14)} ${queue.padEnd(8)} ${age}  ${printable(sender || "<>")} -> ${printable(to?.address ?? "")}${more}`;
      const line = fitted(text, columns);
      lines.push(chosen ? paint.strong(line) : queue === "hold" ? paint.doubtful(line) : line);
    }
    if (this.#messages.length === 0) lines.push("no message waits for it now");
    return lines;
  }
}

const keysOf = {
  destinations: "up/down choose  enter messages  m all of them  f try now  F try all  q quit",
  messages: "up/down choose  enter look  h hold  r release  f try now  left back  q quit",
  message: "up/down scroll  left back  q quit",
} as const;

const steps = (page: number): Readonly<Record<string, number>> => ({
  up: -1,
  k: -1,
  down: 1,
  j: 1,
  pageup: -page,
  pagedown: page,
});

const clamp = (value: number, most: number): number => Math.max(0, Math.min(value, most));

/** Cut to so many columns; wide letters count as one. */
const fitted = (text: string, columns: number): string => {
  const letters = [...text];
  return letters.length <= columns ? text : letters.slice(0, Math.max(0, columns)).join("");
};

const secondsText = (time_ms: number): string =>
  time_ms < 1000 ? `${Math.round(time_ms)} ms` : `${(time_ms / 1000).toFixed(1)} s`;

function ratesText({ scheduler }: RelayStatus, before: RelayStatus | undefined, seconds: number): string {
  const { traffic } = scheduler;
  if (!traffic) return "";
  const earlier = before?.scheduler.traffic;
  // After a reload another relay counts, from nothing.
  const same = earlier?.since_ms === traffic.since_ms && seconds > 0;
  const rate = (name: "accepted" | "sent" | "deferred" | "bounced"): string => {
    const { total, lastMinute } = traffic[name];
    const now = same && earlier ? (total - earlier[name].total) / seconds : lastMinute / 60;
    return `${now.toFixed(1)}/s`;
  };
  return `in: ${rate("accepted")}   sent: ${rate("sent")}   put off: ${rate("deferred")}   given up: ${rate("bounced")}`;
}
