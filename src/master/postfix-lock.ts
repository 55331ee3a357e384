import { type Files, readWhole } from "../runtime/files.ts";

/**
 * The process id of a Postfix that runs on this queue directory, or undefined.
 * Its master holds a lock on pid/master.pid for as long as it lives; the kernel
 * lists every lock with the file's device and inode in /proc/locks.
 */
export async function runningPostfix(files: Files, queueDirectory: string): Promise<number | undefined> {
  try {
    const { ino, dev } = await files.facts(`${queueDirectory}/pid/master.pid`);
    const { bytes } = await readWhole(files, "/proc/locks", 16 * 1024 * 1024);
    const wanted = `${major(dev)}:${minor(dev)}:${ino}`;
    for (const line of bytes.toString().split("\n")) {
      const [, , , , pid, file] = line.split(/\s+/);
      if (file === wanted && pid) return Number(pid);
    }
  } catch {
    // No such file, or no /proc: nothing that could be told apart from no Postfix.
  }
  return undefined;
}

/** Parts of a device number as makedev(3) packs them, in the form of /proc/locks. */
const major = (dev: number): string => hex(((dev / 256) & 0xfff) | (Math.floor(dev / 2 ** 32) & ~0xfff));
const minor = (dev: number): string => hex((dev & 0xff) | (Math.floor(dev / 2 ** 12) & ~0xff));
const hex = (number: number): string => number.toString(16).padStart(2, "0");
