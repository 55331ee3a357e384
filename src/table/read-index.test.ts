import assert from "node:assert/strict";
import { test } from "node:test";
import { writeLocked } from "./read-index.ts";

const locks = `1: FLOCK  ADVISORY  WRITE 708 fe:00:2097 0 EOF
2: POSIX  ADVISORY  READ  709 fe:00:2098 128 128
2: -> FLOCK  ADVISORY  WRITE 710 fe:00:2099 0 EOF
3: FLOCK  ADVISORY  WRITE -1 00:2a:2100 0 EOF
`;
const dev = 0xfe00;

test("an exclusive lock on a file is seen; shared, waiting and foreign ones are not taken for it", () => {
  assert.equal(writeLocked(locks, { dev, ino: 2097 }), true);
  assert.equal(writeLocked(locks, { dev: 0x0801, ino: 2097 }), false);
  assert.equal(writeLocked(locks, { dev, ino: 2098 }), false);
  assert.equal(writeLocked(locks, { dev, ino: 2099 }), false);
  assert.equal(writeLocked("", { dev, ino: 2097 }), false);
});

test("where devices have no numbers of their own, the inode decides", () => {
  assert.equal(writeLocked(locks, { dev: 0x2b, ino: 2100 }), true);
});
