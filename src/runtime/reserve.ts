import { randomFillSync } from "node:crypto";
import { closeSync, constants, ftruncateSync, openSync, statfsSync, statSync, writeSync } from "node:fs";

/**
 * Room on a disk that is kept for a bad day: a file that holds nothing, and is cut to nothing when the disk is full and
 * work must be finished all the same. It is filled with noise, since a file system may
 * store zeros, or what compresses, without taking room. Blocks; for threads that may.
 *
 * It takes at most a quarter of the file system, and is made (again) only where a quarter of its size stays free. Several
 * processes may share it: what one has spent the others see by the file's size. Where it could not be filled though
 * there seemed to be room (a quota is used up, say), that is not tried again for a while.
 */
export class Reserve {
  readonly #directory: string;
  readonly #path: string;
  readonly #size_bytes: number;
  readonly #now: () => number;
  #notBefore_ms = Number.NEGATIVE_INFINITY;

  /** Takes what a predecessor left, or makes it. Where it cannot be made there is none, until restore() succeeds. `now`: monotonic milliseconds. */
  constructor(directory: string, size_bytes: number, now: () => number = () => performance.now()) {
    this.#directory = directory;
    this.#path = `${directory}/reserve`;
    this.#size_bytes = Math.min(size_bytes, totalRoom(directory) / 4);
    this.#now = now;
    this.restore();
  }

  /** Of the file when it is whole. */
  get size_bytes(): number {
    return this.#size_bytes;
  }

  get whole(): boolean {
    const facts = statSync(this.#path, { throwIfNoEntry: false });
    return facts?.isFile() === true && facts.size >= this.#size_bytes;
  }

  /** What has to be free for it to be made. */
  get needed_bytes(): number {
    return 1.25 * this.#size_bytes;
  }

  /** Gives the room away. False: there was none to give. */
  spend(): boolean {
    if (!this.whole) return false;
    return this.#use((fd) => {
      ftruncateSync(fd, 0);
      return true;
    });
  }

  /** Keeps room again, if there is enough; whether there is a whole reserve now. */
  restore(): boolean {
    if (this.whole) return true;
    if (freeRoom(this.#directory) < this.needed_bytes || this.#now() < this.#notBefore_ms) return false;
    const filled = this.#use((fd) => this.#fill(fd));
    if (!filled) this.#notBefore_ms = this.#now() + pause_ms;
    return filled;
  }

  #fill(fd: number): true {
    const noise = randomFillSync(Buffer.alloc(Math.min(piece_bytes, this.#size_bytes)));
    try {
      for (let at = 0; at < this.#size_bytes; ) at += writeSync(fd, noise, 0, noise.length, at);
      return true;
    } catch (error) {
      ftruncateSync(fd, 0);
      throw error;
    }
  }

  /** False where the file cannot be used so. A reserve is a help, and its want no failure. */
  #use(how: (fd: number) => boolean): boolean {
    try {
      const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
      const fd = openSync(this.#path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
      try {
        return how(fd);
      } finally {
        closeSync(fd);
      }
    } catch {
      return false;
    }
  }
}

const piece_bytes = 1024 * 1024;
/** Between two tries to fill it, the first of which failed. */
const pause_ms = 10_000;

/** Of a file system, used or not. Bytes. */
export function totalRoom(directory: string): number {
  const { blocks, bsize } = statfsSync(directory);
  return blocks * bsize;
}

function freeRoom(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
