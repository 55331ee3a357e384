import assert from "node:assert/strict";
import { test } from "node:test";
import { type FileFacts, type Files, type OpenFile, realFiles } from "../runtime/files.ts";
import { runningPostfix } from "./postfix-lock.ts";

const facts: FileFacts = {
  kind: "file",
  size: 0,
  mode: 0,
  uid: 0,
  gid: 0,
  nlink: 1,
  mtime_ms: 0,
  dev: 0x801,
  ino: 393222,
};

/** A host whose master.pid has these facts and whose kernel lists these locks. */
function host(locks: string, pidFile: FileFacts | undefined = facts): Files {
  return {
    ...realFiles,
    facts: async () => pidFile ?? Promise.reject(Object.assign(new Error("none"), { code: "ENOENT" })),
    open: async () => {
      let rest = Buffer.from(locks);
      return {
        facts: async () => ({ ...facts, size: 0 }),
        close: async () => {},
        async read(into: Uint8Array) {
          const count = Math.min(rest.length, into.length);
          into.set(rest.subarray(0, count));
          rest = rest.subarray(count);
          return count;
        },
      } as unknown as OpenFile;
    },
  };
}

const locks = `1: POSIX  ADVISORY  WRITE 500 08:01:777 0 EOF
2: -> FLOCK  ADVISORY  WRITE 999 08:01:393222 0 EOF
3: FLOCK  ADVISORY  WRITE 1234 08:01:393222 0 EOF
`;

test("who holds the lock on master.pid is the Postfix that runs, and who waits for it is not", async () => {
  assert.equal(await runningPostfix(host(locks), "/var/spool/postfix"), 1234);
});

test("locks on other files, and a file without a lock, are no Postfix", async () => {
  assert.equal(await runningPostfix(host(locks, { ...facts, ino: 1 }), "/q"), undefined);
  assert.equal(await runningPostfix(host(locks, { ...facts, dev: 0x802 }), "/q"), undefined);
  assert.equal(await runningPostfix(host(""), "/q"), undefined);
});

test("large device numbers are written as the kernel writes them", async () => {
  // makedev(259, 300): the minor's upper bits stand above the major.
  const dev = (300 & 0xff) | (259 << 8) | ((300 & ~0xff) << 12);
  assert.equal(
    await runningPostfix(host("1: FLOCK ADVISORY WRITE 77 103:12c:5 0 EOF\n", { ...facts, dev, ino: 5 }), "/q"),
    77,
  );
});

test("where there is no master.pid, nothing runs", async () => {
  const none = {
    ...host(locks),
    facts: async () => Promise.reject(Object.assign(new Error("none"), { code: "ENOENT" })),
  };
  assert.equal(await runningPostfix(none, "/q"), undefined);
});
