import assert from "node:assert/strict";
import { test } from "node:test";
import { Maps, type TableSlot } from "../table/maps.ts";
import { type Table, TableError } from "../table/table.ts";
import { authorizedUser } from "./submit-users.ts";

const logins: Readonly<Record<number, string>> = { 1000: "alice", 1001: "bob", 1002: "www-data" };

const table = (entries: Readonly<Record<string, string>>): Maps =>
  new Maps([
    {
      reference: "t",
      patterns: false,
      current: { get: (key: string) => entries[key] } as unknown as Table,
    } as TableSlot,
  ]);

const broken = new Maps([
  { reference: "t", patterns: false, current: new TableError("config", "no such file") } as TableSlot,
]);

const users = (
  words: string[],
  more: { maps?: (references: readonly string[]) => Maps; files?: Record<string, string> } = {},
) =>
  authorizedUser({
    words,
    nameOf: async (uid) => logins[uid],
    maps: more.maps ?? (() => new Maps([])),
    file: (path) => more.files?.[path],
    relayUid: 101,
  });

async function allowed(may: (uid: number) => Promise<boolean>): Promise<number[]> {
  const uids = [0, 101, 1000, 1001, 1002, 5000];
  const answers = await Promise.all(uids.map(may));
  return uids.filter((_, index) => answers[index]);
}

test("static: lets everybody, and root and the relay always may", async () => {
  assert.deepEqual(await allowed(users(["static:anyone"])), [0, 101, 1000, 1001, 1002, 5000]);
  assert.deepEqual(await allowed(users([])), [0, 101]);
});

test("the first word that names a user decides, by login name or number", async () => {
  assert.deepEqual(await allowed(users(["!www-data", "static:all"])), [0, 101, 1000, 1001, 5000]);
  assert.deepEqual(await allowed(users(["alice", "5000"])), [0, 101, 1000, 5000]);
  assert.deepEqual(await allowed(users(["alice", "!alice", "!!bob"])), [0, 101, 1000, 1001]);
  assert.deepEqual(await allowed(users(["!static:all", "alice"])), [0, 101]);
});

test("a table that excludes users is asked, and one that cannot be read lets nobody pass", async () => {
  const maps = () => table({ "www-data": "blocked", 1001: "blocked" });
  assert.deepEqual(await allowed(users(["!hash:/etc/blocked", "static:all"], { maps })), [0, 101, 1000, 5000]);
  await assert.rejects(users(["!hash:/etc/blocked", "static:all"], { maps: () => broken })(1000), TableError);
});

test("a file of words counts where it is named, and may name itself without harm", async () => {
  const files = { "/etc/users": "# who may\nalice, !bob\n/etc/users\n", "/etc/loop": "/etc/loop" };
  assert.deepEqual(await allowed(users(["/etc/users", "static:all"], { files })), [0, 101, 1000, 1002, 5000]);
  assert.deepEqual(await allowed(users(["!/etc/users", "static:all"], { files })), [0, 101, 1001, 1002, 5000]);
  assert.deepEqual(await allowed(users(["/etc/loop"], { files })), [0, 101]);
});

test("a user that the system does not know goes by the number", async () => {
  assert.deepEqual(await allowed(users(["!5000", "static:all"])), [0, 101, 1000, 1001, 1002]);
});
