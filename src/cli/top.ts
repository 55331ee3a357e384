import { parseArgs } from "node:util";
import type { QueueEntry } from "../queue/store.ts";
import type { ControlRequest } from "../relay/control.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";
import { histories, lookIntoLog, whichLog } from "./message-history.ts";
import { noPaint, paintFor } from "./paint.ts";
import { type QueuePlace, queuePlace } from "./queue-place.ts";
import type { Screen } from "./screen.ts";
import type { RelayStatus } from "./status-text.ts";
import { type Order, TopModel } from "./top-model.ts";
import { whyText } from "./why-text.ts";

export const topUsage = `usage: postern [-c config_directory] top

The mail system at work, on a terminal, refreshed each second: how much comes and goes,
the destinations with their deliveries, what waits for them in memory, how long a
delivery takes, and the last error of the one that is chosen, with what it means.

  up, down     choose              enter  messages of a destination, then one of them
  f            try what is chosen now     F  try all mail now
  h, r         hold a message, release it (root, or the one whom Postern runs as)
  left         back                q      quit

  exit status: 0, 69 where there is no terminal
`;

/** sysexits(3) */
const exit = { usage: 64, unavailable: 69, bug: 70 } as const;

const interval_ms = 1000;
const askedAtMost_ms = 5000;
/** Messages that are shown, and that are looked through for them. */
const shownMessages = 200;
const lookedMessages = 20_000;

/** `postern top` */
export async function top(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    const { values } = parseArgs({ args: [...args], options: { help: { type: "boolean", short: "h" } }, strict: true });
    if (values.help) {
      io.out(topUsage);
      return 0;
    }
  } catch (error) {
    io.err(`postern top: ${error instanceof Error ? error.message : String(error)}\n${topUsage}`);
    return exit.usage;
  }
  const place = await queuePlace(io);
  const paint = paintFor(io);
  const screen = io.screen?.();
  if (!screen) {
    io.err("postern top: this is no terminal that can be drawn on. For programs there is: postern status --json\n");
    return exit.unavailable;
  }
  const watcher = new Watcher(io, place, screen, paint);
  try {
    return await watcher.run();
  } finally {
    screen.close();
  }
}

/** Asks, draws and obeys until somebody quits, a signal comes, or the terminal goes away. */
class Watcher {
  readonly #io: CommandIo;
  readonly #place: QueuePlace;
  readonly #screen: Screen;
  readonly #model: TopModel;
  readonly #zone = (time_ms: number): number => this.#io.runtime.clock.zoneOffset_min(time_ms);
  readonly #ended = Promise.withResolvers<number>();
  #over = false;
  #busy = false;
  #status: RelayStatus | undefined;

  constructor(io: CommandIo, place: QueuePlace, screen: Screen, paint: ReturnType<typeof paintFor>) {
    this.#io = io;
    this.#place = place;
    this.#screen = screen;
    this.#model = new TopModel({ paint, zone: this.#zone });
  }

  run(): Promise<number> {
    const { processes } = this.#io.runtime;
    for (const [signal, status] of [
      ["SIGTERM", 143],
      ["SIGHUP", 129],
      ["SIGINT", 130],
    ] as const) {
      processes.onSignal(signal, () => this.#end(status));
    }
    processes.onBug((error) => {
      this.#screen.close();
      this.#io.err(`postern top: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      processes.exit(exit.bug);
    });
    this.#screen.onGone(() => this.#end(129));
    this.#screen.onResize(() => this.#draw());
    this.#screen.onKey((key) => this.#key(key));
    void this.#watch();
    return this.#ended.promise;
  }

  #end(status: number): void {
    this.#over = true;
    this.#ended.resolve(status);
  }

  async #watch(): Promise<void> {
    const { clock } = this.#io.runtime;
    while (!this.#over) {
      this.#status = await this.#askStatus();
      this.#model.sample(this.#status, clock.now());
      this.#draw();
      await new Promise<void>((resolve) => clock.after(interval_ms, resolve, { idle: true }));
    }
  }

  async #askStatus(): Promise<RelayStatus | undefined> {
    try {
      for await (const value of this.#ask(`${this.#place.paths.public}/control`, { command: "status" }))
        return value as RelayStatus;
    } catch (error) {
      if (!(error instanceof NotRunning)) this.#notice(errorText(error));
    }
    return undefined;
  }

  /** A relay that is stuck must not make the terminal stick. */
  #ask(socket: string, request: ControlRequest): AsyncGenerator<object> {
    return askRelay(this.#io.runtime, socket, request, askedAtMost_ms);
  }

  #draw(): void {
    if (this.#over) return;
    const { rows, columns } = this.#screen;
    this.#screen.draw(this.#model.lines(rows, columns));
  }

  #notice(text: string): void {
    this.#model.notice(text, this.#io.runtime.clock.now());
  }

  #key(key: string): void {
    const order = this.#model.key(key);
    if (order?.kind === "quit") return this.#end(0);
    this.#draw();
    if (!order || this.#busy) return;
    this.#busy = true;
    void this.#obey(order)
      .catch((error: unknown) =>
        this.#notice(error instanceof NotRunning ? "the mail system does not answer" : errorText(error)),
      )
      .then(() => {
        this.#busy = false;
        this.#draw();
      });
  }

  async #obey(order: Order): Promise<void> {
    switch (order.kind) {
      case "flush":
        return this.#flush(order);
      case "hold":
      case "release":
        return this.#change(order);
      case "open":
        return this.#open(order.destination);
      case "look":
        return this.#look(order.id);
      default:
        return;
    }
  }

  async #flush({ destination, id }: Extract<Order, { kind: "flush" }>): Promise<void> {
    const which = { ...(destination === undefined ? {} : { destination }), ...(id === undefined ? {} : { id }) };
    const socket = `${this.#place.paths.public}/control`;
    for await (const value of this.#ask(socket, { command: "flush", ...which })) {
      const { flushed = 0 } = value as { readonly flushed?: number };
      this.#notice(`tried now: ${flushed} waiting message${flushed === 1 ? "" : "s"}`);
    }
  }

  async #change({ kind, id }: Extract<Order, { kind: "hold" | "release" }>): Promise<void> {
    const action = kind === "hold" ? "hold" : "unhold";
    const { pid } = this.#io.runtime.processes;
    const request = { command: "change", action, ids: [id], queues: undefined, pid } as const;
    let changed = 0;
    for await (const page of this.#ask(this.#place.paths.operatorSocket, request)) {
      changed += (page as { readonly changed?: readonly string[] }).changed?.length ?? 0;
    }
    this.#notice(changed > 0 ? `${id}: ${kind === "hold" ? "held" : "released"}` : `${id}: nothing to ${kind}`);
    const open = this.#model.open;
    if (open !== undefined) await this.#open(open);
  }

  async #open(destination: string): Promise<void> {
    const found: QueueEntry[] = [];
    let looked = 0;
    for await (const value of this.#ask(`${this.#place.paths.public}/control`, { command: "list" })) {
      const entry = value as QueueEntry;
      if (destination === "" || entry.destination === destination || isUntried(entry, destination)) found.push(entry);
      if (found.length >= shownMessages || ++looked >= lookedMessages) break;
    }
    this.#model.showMessages(destination, found);
    if (looked >= lookedMessages) this.#notice(`only the first ${lookedMessages} messages were looked through`);
  }

  async #look(id: string): Promise<void> {
    const entry = this.#model.entry(id);
    const { log } = this.#place;
    const looked = await lookIntoLog(this.#io, await whichLog(this.#io, undefined, log.maillog_file), { id });
    const queue = { entries: entry ? [entry] : [], waiting: new Map<string, number>() };
    const [history] = histories(looked, queue, this.#status?.scheduler);
    const now_ms = this.#io.runtime.clock.now();
    // Colours are not cut to width with the lines that they are in.
    const style = { paint: noPaint, zone: this.#zone, now_ms };
    this.#model.showStory(history ? whyText(history, style) : `message ${id}\n  nothing is known of it any more`);
  }
}

/** In delivery for the first time, or held before it: the queue does not say where it goes, its recipients' domain may. */
const isUntried = ({ destination, envelope }: QueueEntry, wanted: string): boolean =>
  destination === "" &&
  envelope.recipients.some(({ address }) =>
    wanted.toLowerCase().endsWith(`:${address.slice(address.lastIndexOf("@") + 1).toLowerCase()}`),
  );

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
