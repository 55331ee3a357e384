import assert from "node:assert/strict";
import { test } from "node:test";
import { realProcesses } from "./processes.ts";

const node = process.execPath;

test("what a child said last is told before its end", async () => {
  const script =
    'for (let i = 0; i < 500; i++) process.send({ i, text: "x".repeat(1000) }); process.send("last", () => process.exit(3))';
  const heard: unknown[] = [];
  const child = await realProcesses.spawn(node, ["-e", script], { env: {}, message: (each) => heard.push(each) });
  const { status } = await child.exited;
  assert.equal(status, 3);
  assert.deepEqual([heard.length, heard.at(-1)], [501, "last"]);
});

test("a program that is not there is an error, and a message to a child that is gone is none", async () => {
  await assert.rejects(realProcesses.spawn("/nonexistent/program", [], { env: {} }), { code: "ENOENT" });
  const child = await realProcesses.spawn(node, ["-e", "process.exit(0)"], { env: {}, message: () => {} });
  await child.exited;
  child.send({ kind: "hello" });
  child.kill("SIGTERM");
  child.leave();
});

test("a child gets its descriptors from number 4 on, its input, and no environment but what is given", async () => {
  const output: Buffer[] = [];
  const script =
    'const fs = require("fs"); process.stdout.write(fs.readFileSync(0) + Object.keys(process.env).join() + fs.fstatSync(4).isDirectory())';
  const { openSync, closeSync } = await import("node:fs");
  const fd = openSync("/", "r");
  const child = await realProcesses.spawn(node, ["-e", script], {
    env: { ONLY: "1" },
    input: "in ",
    descriptors: [fd],
    directory: "/",
    output: (bytes) => output.push(bytes),
  });
  await child.exited;
  closeSync(fd);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(Buffer.concat(output).toString(), "in ONLYtrue");
});

test("a process that does not exist takes no signal", () => {
  assert.equal(realProcesses.signal(2 ** 22 + 1, 0), false);
  assert.equal(realProcesses.signal(process.pid, 0), true);
});

test("privileges that were given up cannot be taken back", {
  skip: process.getuid?.() !== 0 ? "needs root" : false,
}, async () => {
  const url = new URL("./processes.ts", import.meta.url).href;
  const script = `
    const { realProcesses } = await import(${JSON.stringify(url)});
    realProcesses.become({ name: "nobody", uid: 65534, gid: 65534, groups: [65534, 8] });
    let back = 0;
    for (const regain of [() => process.setuid(0), () => process.setgid(0), () => process.setgroups([0])]) {
      try { regain(); back++; } catch {}
    }
    console.log(JSON.stringify([back, process.getuid(), process.getgid(), process.getgroups().sort()]));`;
  const output: Buffer[] = [];
  const child = await realProcesses.spawn(
    node,
    ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script],
    {
      env: {},
      output: (bytes) => output.push(bytes),
    },
  );
  assert.equal((await child.exited).status, 0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(JSON.parse(Buffer.concat(output).toString()), [0, 65534, 65534, [65534, 8].sort()]);
});
