import type { Log } from "../log/log.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { errorCode, type Files } from "../runtime/files.ts";

/** How often the file system is asked at most. In between, what it said last counts. */
const interval_ms = 2000;

/** How much of the disk a message may take for each of its bytes, at worst: in the log, in the file, and in pages partly filled. */
const growth = 4;

/** With fewer inodes than this left, a file system is as good as full. */
const leastInodes = 16;

/**
 * Whether there is room for another message: half again as much as the largest one
 * may have, or queue_minfree if that is more (Postfix: mail_queue.c). What the queue's files have free inside counts, since they
 * do not shrink when mail has gone. Asked for each message, so it is answered at once, from a figure that is renewed
 * when a client connects or a message comes and it is older than two seconds, and when what was taken since then may have used it up: within two seconds a
 * fast client fills more than the reserve, and without it the queue could not even note that mail has gone. While there is
 * room and nobody asks, nothing is done; while there is none, it looks by itself.
 */
export class FreeSpace {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #directory: string;
  readonly #reusable: () => Promise<number>;
  readonly #least_bytes: number;
  #enough = true;
  /** What the messages since the last look may have taken beyond the reserve before it is looked again. */
  #spare_bytes = 0;
  #looking = false;
  #looked_ms = 0;
  #timer: Timer | undefined;
  #closed = false;
  #blind = false;

  constructor(
    world: { readonly files: Files; readonly clock: Clock; readonly log: Log },
    directory: string,
    /** QueueStore.reusableSpace */
    reusable: () => Promise<number>,
    conf: { readonly message_size_limit: number; readonly queue_minfree: number },
  ) {
    this.#files = world.files;
    this.#clock = world.clock;
    this.#log = world.log;
    this.#directory = directory;
    this.#reusable = reusable;
    this.#least_bytes = Math.max(conf.queue_minfree, conf.message_size_limit * 1.5);
  }

  async start(): Promise<void> {
    await this.#look();
  }

  get enough(): boolean {
    this.refresh();
    return this.#enough;
  }

  /** Somebody is about to ask. */
  refresh(): void {
    if (this.#clock.monotonic() - this.#looked_ms >= interval_ms && !this.#closed) void this.#look();
  }

  /** A message of this size was taken. */
  took(size_bytes: number): void {
    this.#spare_bytes -= size_bytes * growth;
    if (this.#spare_bytes < 0 && this.#enough && !this.#closed) void this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    this.#timer?.cancel();
    try {
      await this.#measure();
      this.#blind = false;
    } catch (error) {
      if (!this.#blind) this.#log.warning(`cannot tell the free space of ${this.#directory}: ${errorCode(error)}`);
      this.#blind = true;
    }
    this.#looking = false;
    this.#looked_ms = this.#clock.monotonic();
    if (!this.#enough && !this.#closed)
      this.#timer = this.#clock.after(interval_ms, () => void this.#look(), { idle: true });
  }

  async #measure(): Promise<void> {
    const { free_bytes: outside_bytes, free_inodes } = await this.#files.space(this.#directory);
    const short = outside_bytes < this.#least_bytes;
    const free_bytes = outside_bytes + (short ? await this.#reusable().catch(() => 0) : 0);
    this.#spare_bytes = free_bytes - this.#least_bytes;
    this.#note(free_bytes >= this.#least_bytes && (free_inodes >= leastInodes || free_inodes === 0), free_bytes);
  }

  #note(enough: boolean, free_bytes: number): void {
    if (enough === this.#enough) return;
    this.#enough = enough;
    const figures = `${free_bytes} bytes free in ${this.#directory}, ${this.#least_bytes} needed`;
    if (enough) this.#log.info(`there is room again: ${figures}`);
    else this.#log.warning(`not enough free space in mail queue: ${figures}; mail is refused until there is`);
  }
}
