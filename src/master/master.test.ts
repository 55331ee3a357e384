import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { countedFiles } from "../../test/lab/counted-files.ts";
import { memoryLog } from "../log/log.ts";
import type { Begin, FromRelay, ToRelay } from "../relay/protocol.ts";
import { realFiles } from "../runtime/files.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import type { BoundAddress, Endpoint, Net } from "../runtime/net.ts";
import { type Child, type ChildExit, type Processes, realProcesses, type SpawnOptions } from "../runtime/processes.ts";
import { seededRandom } from "../runtime/random.ts";
import { StartFailure } from "./generation.ts";
import { Master, type Plan } from "./master.ts";
import { Sockets } from "./sockets.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-master-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** A relay as the master sees it: a process that is told things and says things. */
class FakeRelay implements Child {
  readonly pid: number;
  readonly told: ToRelay[] = [];
  readonly killed: string[] = [];
  readonly options: SpawnOptions;
  readonly #exited = Promise.withResolvers<ChildExit>();
  gone = false;

  constructor(pid: number, options: SpawnOptions) {
    this.pid = pid;
    this.options = options;
  }

  get exited(): Promise<ChildExit> {
    return this.#exited.promise;
  }

  get begin(): Begin {
    const [first] = this.told;
    return first?.kind === "begin" ? first : assert.fail("it was not told to begin");
  }

  /** Kinds of what it was told after begin. */
  get orders(): string[] {
    return this.told.slice(1).map(({ kind }) => kind);
  }

  send(message: unknown): void {
    if (!this.gone) this.told.push(message as ToRelay);
  }

  kill(signal: NodeJS.Signals): void {
    this.killed.push(signal);
    if (signal === "SIGKILL") this.exit({ status: undefined, signal });
  }

  leave(): void {}

  say(message: FromRelay | Record<string, unknown>): void {
    this.options.message?.(structuredClone(message));
  }

  exit(how: Partial<ChildExit> = {}): void {
    this.gone = true;
    this.#exited.resolve({ status: 0, signal: undefined, ...how });
  }
}

const { files, settled: settle } = countedFiles(realFiles);

class World {
  readonly clock = new ManualClock();
  readonly log = memoryLog();
  readonly relays: FakeRelay[] = [];
  readonly bound = new Map<string, number>();
  readonly relayLines: string[] = [];
  refuseToSpawn: Error | undefined;
  #fd = 20;
  readonly master: Master;

  constructor() {
    const net = { bind: (at: Endpoint) => this.#bind(at) } as unknown as Net;
    const processes: Processes = {
      ...realProcesses,
      spawn: async (_program, _args, options) => {
        if (this.refuseToSpawn) throw this.refuseToSpawn;
        const relay = new FakeRelay(1000 + this.relays.length, options);
        this.relays.push(relay);
        return relay;
      },
    };
    this.master = new Master({
      runtime: { clock: this.clock, files, processes, random: seededRandom(1) },
      log: this.log,
      sockets: new Sockets(net),
      relayLog: (text) => this.relayLines.push(text),
      syslog: false,
    });
  }

  /** The relay that was started last. */
  get newest(): FakeRelay {
    return this.relays.at(-1) ?? assert.fail("no relay was started");
  }

  /** Starts a relay with this plan and has it come up. */
  async up(plan: Plan = planOf()): Promise<FakeRelay> {
    const applied = this.master.apply(plan);
    await settle();
    const relay = this.newest;
    relay.say({ kind: "ready", notes: [] });
    await applied;
    await settle();
    return relay;
  }

  #bind({ address, port }: Endpoint): BoundAddress {
    const name = `${address}:${port}`;
    if (this.bound.has(name)) throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
    const fd = this.#fd++;
    this.bound.set(name, fd);
    return { fd, endpoint: { address, port }, close: () => void this.bound.delete(name) };
  }
}

function planOf(...ports: number[]): Plan {
  return {
    begin: {
      conf: { directory: `/etc/${ports.join()}` } as unknown as Begin["conf"],
      dropTo: undefined,
      verbose: false,
    },
    wanted: (ports.length > 0 ? ports : [25]).map((port, index) => ({
      line: 7 + index,
      endpoint: { address: "127.0.0.1", port },
      optional: false,
    })),
    command: { program: "relay", args: [], env: {} },
  };
}

test("a relay is given its sockets, its name, and what to do; and serves once it is ready", async () => {
  const world = new World();
  const applied = world.master.apply(planOf(25, 587));
  await settle();
  const relay = world.newest;
  assert.deepEqual(relay.options.descriptors, [20, 21]);
  const { sockets, generation, wait, refused, syslog } = relay.begin;
  assert.deepEqual(sockets, [
    { line: 7, fd: 4 },
    { line: 8, fd: 5 },
  ]);
  assert.deepEqual([generation, wait, refused, syslog], [1, false, [], false]);
  assert.equal(world.master.relayPid, undefined);
  relay.say({ kind: "ready", notes: ["a note"] });
  assert.deepEqual(await applied, ["a note"]);
  assert.equal(world.master.relayPid, relay.pid);
});

test("a relay that says why it cannot start is believed, and its sockets are let go", async () => {
  const world = new World();
  const applied = world.master.apply(planOf());
  await settle();
  world.newest.say({ kind: "failed", text: "no such table", status: 78 });
  world.newest.exit({ status: 78 });
  await assert.rejects(
    applied,
    (error) => error instanceof StartFailure && error.message === "no such table" && error.status === 78,
  );
  assert.equal(world.bound.size, 0);
});

test("a relay that cannot be started, dies while it starts, or never comes up, is a failed start", async () => {
  const world = new World();
  world.refuseToSpawn = Object.assign(new Error("spawn EAGAIN"), { code: "EAGAIN" });
  await assert.rejects(world.master.apply(planOf()), /^Error: cannot start relay: spawn EAGAIN/);
  world.refuseToSpawn = undefined;
  const died = world.master.apply(planOf());
  await settle();
  world.newest.exit({ status: undefined, signal: "SIGSEGV" });
  await assert.rejects(died, /the relay ended while it started \(killed by SIGSEGV\)/);
  const stuck = world.master.apply(planOf());
  await settle();
  world.clock.advance(300_000);
  await assert.rejects(stuck, /did not come up within 300 s/);
  assert.deepEqual(world.newest.killed, ["SIGKILL"]);
  assert.equal(world.bound.size, 0);
  await world.up();
});

test("a reload brings up the new one first, then retires the old one, which hands over what it knows", async () => {
  const world = new World();
  const old = await world.up(planOf(25));
  const applied = world.master.apply(planOf(25, 587));
  await settle();
  const next = world.newest;
  assert.deepEqual([next.begin.wait, old.orders], [true, []]);
  assert.deepEqual(next.options.descriptors, [20, 21]);
  next.say({ kind: "ready", notes: [] });
  await applied;
  assert.deepEqual(old.orders, ["retire"]);
  old.say({ kind: "retired", state: { known: 1 } });
  assert.deepEqual(next.told.at(-1), { kind: "inherit", state: { known: 1 } });
  old.say({ kind: "wake" });
  assert.equal(next.orders.at(-1), "wake");
  old.exit();
  await settle();
  assert.deepEqual(next.told.at(-1), { kind: "inherit", state: undefined });
  assert.deepEqual(world.log.lines, []);
});

test("a reload that fails leaves the old one in force, with its sockets", async () => {
  const world = new World();
  const old = await world.up(planOf(25));
  const applied = world.master.apply(planOf(25, 587));
  await settle();
  world.newest.say({ kind: "failed", text: "broken", status: 78 });
  world.newest.exit({ status: 78 });
  await assert.rejects(applied, /broken/);
  assert.deepEqual([...world.bound.keys()], ["127.0.0.1:25"]);
  assert.deepEqual(old.orders, []);
  assert.equal(world.master.relayPid, old.pid);
  old.exit({ status: 1 });
  await settle();
  world.clock.advance(250);
  await settle();
  assert.equal(world.newest.begin.conf.directory, "/etc/25", "the plan in force is the old one");
});

test("sockets that are not wanted any more are closed only when the new one is ready", async () => {
  const world = new World();
  await world.up(planOf(25, 587));
  const applied = world.master.apply(planOf(587));
  await settle();
  assert.equal(world.bound.size, 2);
  world.newest.say({ kind: "ready", notes: [] });
  await applied;
  assert.deepEqual([...world.bound.keys()], ["127.0.0.1:587"]);
});

test("a relay that crashes is replaced after a pause that grows, and is forgotten after a minute of health", async () => {
  const world = new World();
  let relay = await world.up();
  for (const pause_ms of [250, 500, 1000]) {
    relay.exit({ status: 1 });
    await settle();
    assert.equal(world.clock.next_ms, pause_ms);
    world.clock.advance(pause_ms);
    await settle();
    assert.notEqual(world.newest, relay);
    relay = world.newest;
    assert.equal(relay.begin.wait, false);
    relay.say({ kind: "ready", notes: [] });
    await settle();
  }
  world.clock.advance(60_000);
  relay.exit({ status: 1 });
  await settle();
  assert.ok((world.clock.next_ms ?? 0) <= 250);
  assert.match(world.log.lines.join("\n"), /warning: process relay pid 1000 ended: exit status 1/);
  assert.match(world.log.lines.join("\n"), /relay restarted after 1000 ms/);
});

test("a restart that fails, for whatever reason, is tried again", async () => {
  const world = new World();
  (await world.up()).exit({ status: 1 });
  await settle();
  world.refuseToSpawn = new TypeError("a bug");
  world.clock.advance(250);
  await settle();
  assert.match(
    world.log.lines.at(-1) ?? "",
    /error: the relay cannot be restarted: cannot start relay: a bug; next try in 500 ms/,
  );
  world.refuseToSpawn = undefined;
  world.clock.advance(500);
  await settle();
  world.newest.say({ kind: "ready", notes: [] });
  await settle();
  assert.equal(world.master.relayPid, world.newest.pid);
});

test("a relay that crashes as soon as it is ready is replaced", async () => {
  const world = new World();
  const applied = world.master.apply(planOf());
  await settle();
  world.newest.say({ kind: "ready", notes: [] });
  world.newest.exit({ status: 1 });
  await applied;
  await settle();
  world.clock.advance(250);
  await settle();
  assert.equal(world.relays.length, 2);
});

test("when the old one crashes during a reload, the new one schedules, and the old configuration does not come back", async () => {
  const world = new World();
  const old = await world.up(planOf(25));
  const applied = world.master.apply(planOf(587));
  await settle();
  const next = world.newest;
  assert.equal(next.begin.wait, true);
  old.exit({ status: 1 });
  await settle();
  world.clock.advance(1000);
  await settle();
  next.say({ kind: "ready", notes: [] });
  await applied;
  await settle();
  assert.deepEqual(next.orders, ["inherit"]);
  assert.equal(world.relays.length, 2);
  assert.equal(world.master.relayPid, next.pid);
  assert.deepEqual([...world.bound.keys()], ["127.0.0.1:587"]);
});

test("generations that live at once differ in their lowest bit, however many starts have failed in between", async () => {
  const world = new World();
  const first = await world.up();
  const failing = world.master.apply(planOf());
  await settle();
  world.newest.exit({ status: 1 });
  await assert.rejects(failing);
  const second = await world.up();
  assert.notEqual(first.begin.generation % 2, second.begin.generation % 2);
  second.exit({ status: 1 });
  await settle();
  world.clock.advance(250);
  await settle();
  assert.notEqual(world.newest, second);
  assert.notEqual(first.begin.generation % 2, world.newest.begin.generation % 2, "the first one still retires");
});

test("two reloads at once are made one after the other", async () => {
  const world = new World();
  const first = await world.up(planOf(1));
  const [second, third] = [world.master.apply(planOf(2)), world.master.apply(planOf(3))];
  await settle();
  assert.equal(world.relays.length, 2);
  world.newest.say({ kind: "ready", notes: [] });
  await second;
  await settle();
  assert.equal(world.relays.length, 2, "at most two generations");
  first.exit();
  await settle();
  assert.equal(world.relays.length, 3);
  world.newest.say({ kind: "ready", notes: [] });
  await third;
  assert.equal(world.newest.begin.conf.directory, "/etc/3");
  assert.deepEqual(world.relays[1]?.orders, ["inherit", "retire"]);
});

test("one that will not retire is told to stop when the next reload waits, and then killed", async () => {
  const world = new World();
  const first = await world.up(planOf(1));
  await world.up(planOf(2));
  const third = world.master.apply(planOf(3));
  await settle();
  assert.deepEqual(first.orders, ["retire"]);
  world.clock.advance(30_000);
  assert.deepEqual(first.orders, ["retire", "stop"]);
  world.clock.advance(70_000);
  await settle();
  assert.deepEqual(first.killed, ["SIGKILL"]);
  assert.match(world.log.lines.join(), /pid 1000 ended: killed by SIGKILL, while it retired/);
  world.newest.say({ kind: "ready", notes: [] });
  await third;
});

test("a reload that waits for a retiring one goes on at once when the serving one crashes", async () => {
  const world = new World();
  await world.up(planOf(1));
  const second = await world.up(planOf(2));
  const third = world.master.apply(planOf(3));
  await settle();
  assert.equal(world.relays.length, 2);
  second.exit({ status: 1 });
  await settle();
  assert.equal(world.relays.length, 3);
  assert.deepEqual([world.newest.begin.wait, world.newest.begin.conf.directory], [false, "/etc/3"]);
  world.newest.say({ kind: "ready", notes: [] });
  await third;
  world.clock.advance(1000);
  await settle();
  assert.equal(world.relays.length, 3);
});

test("batches that were refused are named to every successor until one is ready, and to those that are alive", async () => {
  const world = new World();
  const first = await world.up();
  const batches = [{ owner: "o", batch: 3 }];
  const applied = world.master.apply(planOf());
  await settle();
  const second = world.newest;
  first.say({ kind: "refused", batches });
  first.exit({ status: 75 });
  await settle();
  assert.deepEqual(second.told.at(-1), { kind: "refused", batches });
  second.say({ kind: "failed", text: "no", status: 75 });
  second.exit({ status: 75 });
  await assert.rejects(applied);
  world.clock.advance(250);
  await settle();
  const third = world.newest;
  assert.deepEqual(third.begin.refused, batches);
  third.exit({ status: 75 });
  await settle();
  world.clock.advance(500);
  await settle();
  const fourth = world.newest;
  assert.deepEqual(fourth.begin.refused, batches);
  const later = [{ owner: "p", batch: 4 }];
  fourth.say({ kind: "refused", batches: later });
  fourth.say({ kind: "ready", notes: [] });
  await settle();
  fourth.exit({ status: 75 });
  await settle();
  world.clock.advance(2000);
  await settle();
  assert.deepEqual(world.newest.begin.refused, later, "what it has named itself is not settled by its being ready");
});

test("a stop ends the one that serves and the one that retires, in order", async () => {
  const world = new World();
  const old = await world.up(planOf(1));
  const next = await world.up(planOf(1));
  const stopped = world.master.stop();
  assert.deepEqual([old.orders.at(-1), next.orders.at(-1)], ["stop", "stop"]);
  old.exit();
  next.exit();
  await stopped;
  await world.master.ended;
  assert.equal(world.bound.size, 0);
  assert.equal(world.clock.next_ms, undefined, "no timer is left");
});

test("a relay that does not stop is killed, and an abort kills at once", async () => {
  const slow = new World();
  const relay = await slow.up();
  const stopped = slow.master.stop();
  slow.clock.advance(15_000);
  await stopped;
  assert.deepEqual(relay.killed, ["SIGKILL"]);
  const world = new World();
  await world.up();
  void world.master.stop();
  await world.master.stop(true);
  assert.deepEqual(world.newest.killed, ["SIGKILL"]);
});

test("a relay that is just coming up does not outlive a stop", async () => {
  const world = new World();
  const old = await world.up(planOf(25));
  const applied = world.master.apply(planOf(25, 587));
  await settle();
  const stopped = world.master.stop();
  old.exit();
  await settle();
  assert.deepEqual(world.newest.orders, ["stop"]);
  world.newest.say({ kind: "ready", notes: [] });
  world.newest.exit();
  await assert.rejects(applied, /the mail system is stopping/);
  await stopped;
  assert.equal(world.bound.size, 0);
});

test("a relay whose process is made while a stop begins is killed", async () => {
  const world = new World();
  const applied = world.master.apply(planOf(25));
  const stopped = world.master.stop();
  await assert.rejects(applied, StartFailure);
  await stopped;
  assert.equal(world.bound.size, 0);
  assert.ok(world.relays.every(({ gone }) => gone));
});

test("nothing is mended after a stop", async () => {
  const world = new World();
  const relay = await world.up();
  relay.exit({ status: 1 });
  await settle();
  await world.master.stop();
  world.clock.advance(10_000);
  await settle();
  assert.equal(world.relays.length, 1);
  await assert.rejects(world.master.apply(planOf()), /stopping/);
});

test("a table that changes is read by the master and sent to every relay, its source's time too", {
  timeout: 20_000,
}, async () => {
  const world = new World();
  const [index, source] = [join(directory, "t.db"), join(directory, "t")];
  writeFileSync(index, "old");
  writeFileSync(source, "old");
  const applied = world.master.apply(planOf());
  await settle();
  const relay = world.newest;
  relay.say({
    kind: "opened",
    files: [
      { path: index, role: "index", limit_bytes: 100 },
      { path: source, role: "source", limit_bytes: 0 },
    ],
  });
  relay.say({ kind: "ready", notes: [] });
  await applied;
  writeFileSync(join(directory, "new"), "new bytes");
  renameSync(join(directory, "new"), index);
  writeFileSync(source, "newer");
  const told = (kind: string) => relay.told.find((each) => each.kind === kind);
  while (!told("table") || !told("source")) {
    world.clock.advance(1000);
    await settle();
  }
  const table = told("table");
  assert.equal(table?.kind === "table" && Buffer.from(table.bytes ?? []).toString(), "new bytes");
});

test("a table that stays broken is read again ever more seldom", { timeout: 20_000 }, async () => {
  const world = new World();
  const index = join(directory, "broken.db");
  writeFileSync(index, "sound");
  const applied = world.master.apply(planOf());
  await settle();
  const relay = world.newest;
  relay.say({ kind: "opened", files: [{ path: index, role: "index", limit_bytes: 100 }] });
  relay.say({ kind: "ready", notes: [] });
  await applied;
  writeFileSync(index, "broken");
  const times: number[] = [];
  for (let seen = 0; times.length < 6; ) {
    world.clock.advance(100);
    await settle();
    const tables = relay.orders.filter((kind) => kind === "table").length;
    if (tables === seen) continue;
    seen = tables;
    times.push(world.clock.monotonic());
    relay.say({ kind: "again", path: index });
  }
  const pauses = times.slice(1).map((time, at) => time - (times[at] ?? 0));
  assert.ok((pauses[0] ?? 0) < 1000 && (pauses[4] ?? 0) > 2000, pauses.join());
});

test("a relay cannot make the master read what it did not name before it had dropped its privileges", async () => {
  const world = new World();
  const secret = join(directory, "secret");
  writeFileSync(secret, "old");
  const relay = await world.up();
  relay.say({ kind: "opened", files: [{ path: secret, role: "index", limit_bytes: 100 }] });
  relay.say({ kind: "ready", notes: [], files: [{ path: secret, role: "index", limit_bytes: 100 }] });
  relay.say({ kind: "again", path: secret });
  writeFileSync(secret, "new");
  for (let count = 0; count < 5; count++) {
    world.clock.advance(3000);
    await settle();
  }
  assert.deepEqual(relay.orders, []);
});

test("what a relay sends that is no message of ours is passed over", async () => {
  const world = new World();
  const relay = await world.up();
  for (const junk of [
    null,
    7,
    "log",
    [],
    {},
    { kind: "log" },
    { kind: "log", text: 7 },
    { kind: "refused", batches: 1 },
    { kind: "refused", batches: [{}] },
    { kind: "again" },
    { kind: "opened", files: [null] },
    { kind: "failed" },
    { kind: "constructor" },
  ]) {
    relay.options.message?.(junk);
  }
  relay.say({ kind: "log", text: "a line\n" });
  assert.deepEqual(world.relayLines, ["a line\n"]);
});
