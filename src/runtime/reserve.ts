import { randomFillSync } from "node:crypto";
import { closeSync, constants, fstatSync, ftruncateSync, openSync, statfsSync, writeSync } from "node:fs";

/**
 * Room on a disk that is kept for a bad day: a file that holds nothing, and is cut to nothing when the disk is full and
 * work must be finished all the same. It is filled with noise, since a file system may
 * store zeros, or what compresses, without taking room. Blocks; for threads that may.
 *
 * It takes at most a quarter of the file system, and is made (again) only where a quarter of its size stays free.
 */
export class Reserve {
  readonly #directory: string;
  readonly #path: string;
  readonly #size_bytes: number;
  #whole = false;

  /** Takes what a predecessor left, or makes it. Where it cannot be made there is none, until restore() succeeds. */
  constructor(directory: string, size_bytes: number) {
    this.#directory = directory;
    this.#path = `${directory}/reserve`;
    this.#size_bytes = Math.min(size_bytes, totalRoom(directory) / 4);
    this.#whole = this.#use((fd) => fstatSync(fd).size >= this.#size_bytes) || this.restore();
  }

  /** Of the file when it is whole. */
  get size_bytes(): number {
    return this.#size_bytes;
  }

  get whole(): boolean {
    return this.#whole;
  }

  /** Gives the room away. False: there was none to give. */
  spend(): boolean {
    if (!this.#whole) return false;
    this.#whole = false;
    return this.#use((fd) => {
      ftruncateSync(fd, 0);
      return true;
    });
  }

  /** Keeps room again, if there is enough; whether there is a whole reserve now. */
  restore(): boolean {
    if (this.#whole) return true;
    if (freeRoom(this.#directory) < 1.25 * this.#size_bytes) return false;
    this.#whole = this.#use((fd) => this.#fill(fd));
    return this.#whole;
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

/** Of a file system, used or not. Bytes. */
export function totalRoom(directory: string): number {
  const { blocks, bsize } = statfsSync(directory);
  return blocks * bsize;
}

function freeRoom(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
