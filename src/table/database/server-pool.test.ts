import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../runtime/manual-clock.ts";
import { realRuntime } from "../../runtime/real.ts";
import { TableError } from "../table.ts";
import { type Driver, Refused, type Server, ServerPool, usualPool } from "./server-pool.ts";

/** A connection to a server that does what its test says. */
interface Line {
  readonly server: string;
  lost: boolean;
  dropped: boolean;
}

class Lines implements Driver<Server, Line> {
  readonly type = "test";
  /** By name: connecting fails with this text, or never ends ("never"). */
  readonly broken = new Map<string, string>();
  readonly opened: Line[] = [];
  givenUp = 0;

  async connect({ name }: Server, givenUp: AbortSignal): Promise<Line> {
    const broken = this.broken.get(name);
    givenUp.addEventListener("abort", () => this.givenUp++);
    if (broken === "never") await new Promise(() => {});
    if (broken) throw new Error(broken);
    const line = { server: name, lost: false, dropped: false };
    this.opened.push(line);
    return line;
  }

  usable = ({ lost }: Line): boolean => !lost;

  drop(line: Line): void {
    line.lost = true;
    line.dropped = true;
  }
}

function pool(names: readonly string[], local: readonly string[] = []) {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const driver = new Lines();
  const servers = names.map((name) => ({ name, local: local.includes(name) }));
  const { net, names: service } = realRuntime();
  const network = { net, names: service, clock };
  const context = {
    foldCase: true,
    read: () => Promise.reject(new Error("no files")),
    warn: (text: string) => void warnings.push(text),
    network,
  };
  return { clock, warnings, driver, made: new ServerPool(driver, servers, context) };
}

const name = async ({ server }: Line): Promise<string> => server;
const retry = (message: RegExp) => (error: unknown) =>
  error instanceof TableError && error.kind === "retry" && message.test(error.message);
/** Lets what is under way go on as far as it can. */
const settled = () => new Promise((done) => setImmediate(done));

test("a connection is kept for the next question, and closed when nobody asks", async () => {
  const { clock, driver, made } = pool(["a"]);
  assert.equal(await made.ask(name), "a");
  assert.equal(await made.ask(name), "a");
  assert.equal(driver.opened.length, 1);
  clock.advance(usualPool.idle_ms);
  assert.equal(driver.opened[0]?.dropped, true);
});

test("Unix sockets are preferred", async () => {
  const { made } = pool(["a", "b", "c"], ["b"]);
  assert.equal(await made.ask(name), "b");
});

test("a server that cannot be connected to rests, and another one is asked", async () => {
  const { clock, driver, made, warnings } = pool(["a", "b"], ["a"]);
  driver.broken.set("a", "refused");
  assert.equal(await made.ask(name), "b");
  assert.equal(await made.ask(name), "b");
  assert.deepEqual(warnings, ["connect to test server a: refused"]);
  driver.broken.delete("a");
  clock.advance(usualPool.rest_ms + 1);
  assert.equal(await made.ask(name), "a");
});

test("where nobody can be reached nothing is known, and resting servers are not bothered", async () => {
  const { clock, driver, made, warnings } = pool(["a", "b"]);
  driver.broken.set("a", "refused").set("b", "refused");
  await assert.rejects(made.ask(name), retry(/refused/));
  assert.equal(warnings.length, 2);
  await assert.rejects(made.ask(name), retry(/all servers are resting/));
  assert.equal(warnings.length, 2);
  driver.broken.clear();
  clock.advance(usualPool.rest_ms + 1);
  assert.match(await made.ask(name), /[ab]/);
});

test("the only server is tried again after a few seconds", async () => {
  const { clock, driver, made } = pool(["a"]);
  driver.broken.set("a", "refused");
  await assert.rejects(made.ask(name), retry(/refused/));
  driver.broken.clear();
  clock.advance(5_001);
  assert.equal(await made.ask(name), "a");
});

test("a kept connection that has gone away is replaced at once", async () => {
  const { driver, made, warnings } = pool(["a"]);
  await made.ask(name);
  let asked = 0;
  const answer = await made.ask(async (line) => {
    if (++asked === 1) {
      line.lost = true;
      throw new Error("gone");
    }
    return line.server;
  });
  assert.equal(answer, "a");
  assert.equal(driver.opened.length, 2);
  assert.deepEqual(warnings, []);
});

test("a server that goes away while it is asked rests", async () => {
  const { made, warnings } = pool(["a"]);
  await assert.rejects(
    made.ask(async () => {
      throw new Error("gone");
    }),
    retry(/gone/),
  );
  assert.deepEqual(warnings, ["test query failed: host a: gone"]);
  await assert.rejects(made.ask(name), retry(/resting/));
});

test("a server that refuses a question keeps its connection, and the next one is asked", async () => {
  const { driver, made } = pool(["a", "b"], ["a"]);
  const answer = await made.ask(async (line) => {
    if (line.server === "a") throw new Refused("no such table");
    return line.server;
  });
  assert.equal(answer, "b");
  assert.deepEqual(
    driver.opened.map(({ dropped }) => dropped),
    [false, false],
  );
  await assert.rejects(
    made.ask(async () => {
      throw new Refused("syntax error");
    }),
    retry(/syntax error/),
  );
});

test("connecting has a time limit, and what comes of it is given up", async () => {
  const { clock, driver, made } = pool(["a"]);
  driver.broken.set("a", "never");
  const asked = assert.rejects(made.ask(name), retry(/no connection in 10 seconds/));
  await settled();
  clock.advance(usualPool.connectLimit_ms);
  await asked;
  assert.equal(driver.givenUp, 1);
});

test("an answer has a time limit; the connection is dropped, and the server not asked again at once", async () => {
  const { clock, driver, made } = pool(["a"]);
  await made.ask(name);
  const asked = assert.rejects(
    made.ask(() => new Promise(() => {})),
    retry(/no answer in 30 seconds/),
  );
  await settled();
  clock.advance(usualPool.answerLimit_ms);
  await asked;
  assert.deepEqual([driver.opened.length, driver.opened[0]?.dropped], [1, true]);
});

test("four questions are under way at a time, and the others wait their turn", async () => {
  const { driver, made } = pool(["a"]);
  const ends: (() => void)[] = [];
  const slow = (): Promise<void> => new Promise((done) => ends.push(done));
  const all = Array.from({ length: 10 }, () => made.ask(slow));
  await settled();
  assert.equal(ends.length, 4);
  while (ends.length > 0) {
    ends.shift()?.();
    await settled();
  }
  await Promise.all(all);
  assert.equal(driver.opened.length, 4);
});

test("who waits too long for a turn cannot tell, and takes nobody's turn away", async () => {
  const { clock, made } = pool(["a"]);
  const ends: (() => void)[] = [];
  const slow = (): Promise<void> => new Promise((done) => ends.push(done));
  const busy = Array.from({ length: 4 }, () => made.ask(slow).catch(() => {}));
  const late = assert.rejects(made.ask(name), retry(/all connections are busy|no answer|resting/));
  await settled();
  clock.advance(usualPool.answerLimit_ms);
  await late;
  for (const end of ends) end();
  await Promise.all(busy);
  clock.advance(5_001);
  assert.equal(await made.ask(name), "a");
});

test("closing waits for nobody, and drops each connection when its question is answered", async () => {
  const { driver, made } = pool(["a"]);
  let end = (): void => {};
  const asked = made.ask(() => new Promise<string>((done) => (end = () => done("late"))));
  await settled();
  made.close();
  assert.equal(driver.opened[0]?.dropped, false);
  end();
  assert.equal(await asked, "late");
  assert.equal(driver.opened[0]?.dropped, true);
});
