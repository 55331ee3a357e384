import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { errorCode } from "./files.ts";

/**
 * Whether a directory has no room for so many bytes more: the disk is full, or its owner's quota is used up. Asked by writing a
 * file and removing it, since neither quotas nor what is set aside show in statfs(2). Blocks; for threads that may.
 */
export function isFull(directory: string, size_bytes: number): boolean {
  const path = `${directory}/room.probe`;
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  try {
    const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    try {
      const zeros = Buffer.alloc(64 * 1024);
      for (let written = 0; written < size_bytes; ) written += writeSync(fd, zeros, 0, zeros.length, written);
    } finally {
      unlinkSync(path);
      closeSync(fd);
    }
    return false;
  } catch (error) {
    return ["ENOSPC", "EDQUOT"].includes(errorCode(error));
  }
}
