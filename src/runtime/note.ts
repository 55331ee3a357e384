import { closeSync, constants, fsyncSync, openSync, writeSync } from "node:fs";

/** Leaves a note for who comes after us: a file with one line, not changed where it is there already. Never throws: it is a help. Blocks; for threads that may. */
export function leaveNote(path: string, text: string): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  try {
    const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      writeSync(fd, `${text.replaceAll("\n", " ")}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // It is there, or there is no room for it: whoever comes after us finds the same.
  }
}
