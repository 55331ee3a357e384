import assert from "node:assert/strict";
import { test } from "node:test";
import { findAccount, findAccountById, findGroup } from "./accounts.ts";
import { type Files, type OpenFile, realFiles } from "./files.ts";

/** /etc/passwd and /etc/group as a test has them. */
function files(passwd: string, group: string): Files {
  const texts: Record<string, string> = { "/etc/passwd": passwd, "/etc/group": group };
  return {
    ...realFiles,
    async open(path) {
      let rest = Buffer.from(texts[path] ?? assert.fail(path));
      const facts = {
        kind: "file",
        size: rest.length,
        mode: 0o644,
        uid: 0,
        gid: 0,
        nlink: 1,
        mtime_ms: 0,
        dev: 1,
        ino: 1,
      };
      return {
        facts: async () => facts,
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

const passwd = "root:x:0:0:root:/root:/bin/sh\npostfix:x:101:103::/var:/bin/false\n+::::::\nbroken\nhalf:x::\n";
const group = "root:x:0:\npostfix:x:103:\nmail:x:8:dovecot,postfix\nnis:x::postfix\npostdrop:x:104:\n";

test("an account has its number, its own group, and those it is a member of", async () => {
  const found = await findAccount(files(passwd, group), "postfix");
  assert.deepEqual(found, { name: "postfix", uid: 101, gid: 103, groups: [103, 8] });
  assert.equal(await findAccount(files(passwd, group), "nobody"), undefined);
});

test("a line without numbers is nobody's, and least of all root's", async () => {
  const odd = files("+::::::\nhalf:x::\nneg:x:-1:-1\n", "empty:x::\n");
  assert.equal(await findAccount(odd, "half"), undefined);
  assert.equal(await findAccount(odd, "neg"), undefined);
  assert.equal(await findAccount(odd, "+"), undefined);
  assert.equal(await findAccountById(odd, 0), undefined);
  assert.equal(await findGroup(odd, "empty"), undefined);
});

test("users and groups are found by number and by name", async () => {
  const world = files(passwd, group);
  assert.equal((await findAccountById(world, 101))?.[0], "postfix");
  assert.equal(await findAccountById(world, 999), undefined);
  assert.equal(await findGroup(world, "postdrop"), 104);
  assert.equal(await findGroup(world, "nogroup"), undefined);
});
