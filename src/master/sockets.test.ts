import assert from "node:assert/strict";
import { test } from "node:test";
import type { BoundAddress, Endpoint, Net } from "../runtime/net.ts";
import { realNet } from "../runtime/net.ts";
import { ListenError, listenProblem, Sockets, type WantedSocket } from "./sockets.ts";

/** A host whose addresses can be taken once. */
function host(codes: Readonly<Record<string, string>> = {}): { net: Net; open: string[] } {
  const open: string[] = [];
  const bind = ({ address, port }: Endpoint): BoundAddress => {
    const name = `${address}:${port}`;
    const code = codes[name] ?? (open.includes(name) ? "EADDRINUSE" : undefined);
    if (code) throw Object.assign(new Error(code), { code });
    open.push(name);
    return { fd: open.length, endpoint: { address, port }, close: () => void open.splice(open.indexOf(name), 1) };
  };
  return { net: { bind } as unknown as Net, open };
}

const want = (address: string, port: number, more: Partial<WantedSocket> = {}): WantedSocket => ({
  line: 5,
  endpoint: { address, port },
  optional: false,
  ...more,
});

test("what is held is kept over a change, what is new is bound, what is gone is closed at its end", () => {
  const { net, open } = host();
  const sockets = new Sockets(net);
  const first = sockets.take([want("127.0.0.1", 25), want("127.0.0.1", 26)]);
  first.keep();
  const second = sockets.take([want("127.0.0.1", 26, { line: 9 }), want("127.0.0.1", 27)]);
  assert.deepEqual(
    second.held.map(({ line, bound }) => [line, bound.fd]),
    [
      [9, 2],
      [5, 3],
    ],
  );
  assert.equal(open.length, 3);
  second.keep();
  assert.deepEqual(open, ["127.0.0.1:26", "127.0.0.1:27"]);
  sockets.close();
  assert.deepEqual(open, []);
});

test("a change that is given up leaves what was", () => {
  const { net, open } = host();
  const sockets = new Sockets(net);
  sockets.take([want("127.0.0.1", 25)]).keep();
  sockets.take([want("127.0.0.1", 26)]).undo();
  assert.deepEqual(open, ["127.0.0.1:25"]);
});

test("when one address cannot be had, none is taken", () => {
  const { net, open } = host({ "192.0.2.1:25": "EADDRNOTAVAIL" });
  const sockets = new Sockets(net);
  assert.throws(
    () => sockets.take([want("127.0.0.1", 25), want("192.0.2.1", 25)]),
    (error) => {
      return error instanceof ListenError && /this host has no such address/.test(error.message);
    },
  );
  assert.deepEqual(open, []);
});

test("half of a wildcard pair may be missing on a host without its protocol, but not be in use", () => {
  const pair = [want("0.0.0.0", 25, { optional: true }), want("::", 25, { optional: true })];
  const lacking = host({ ":::25": "EAFNOSUPPORT" });
  assert.equal(new Sockets(lacking.net).take(pair).held.length, 1);
  const taken = host({ ":::25": "EADDRINUSE" });
  assert.throws(() => new Sockets(taken.net).take(pair), ListenError);
  assert.deepEqual(taken.open, []);
});

test("two lines for one address are told apart from another program", () => {
  const { net, open } = host();
  assert.throws(
    () => new Sockets(net).take([want("127.0.0.1", 25), want("127.0.0.1", 25, { line: 8 })]),
    /line 8 of master.cf: line 5 does already/,
  );
  assert.deepEqual(open, []);
});

test("a port that we hold ourselves under another address is told as what it is", () => {
  const { net } = host({ "127.0.0.1:25": "EADDRINUSE" });
  const sockets = new Sockets(net);
  sockets.take([want("0.0.0.0", 25)]).keep();
  assert.throws(
    () => sockets.take([want("127.0.0.1", 25)]),
    /while Postern itself listens on \[0\.0\.0\.0\]:25: this change takes a stop and a start/,
  );
});

test("each problem comes with a remedy", () => {
  const about = (code: string) => listenProblem(want("127.0.0.1", 25), Object.assign(new Error(code), { code }));
  assert.match(
    about("EADDRINUSE"),
    /\[127\.0\.0\.1\]:25 \(master\.cf, line 5\): another program does\. 'ss -ltnp sport = :25' shows which/,
  );
  assert.match(about("EACCES"), /Start as root, or choose a higher port/);
  assert.match(about("EADDRNOTAVAIL"), /inet_interfaces/);
  assert.match(about("EMFILE"), /EMFILE$/);
});

test("a port on which a child listens is taken, and is free again when both have closed it", async () => {
  const sockets = new Sockets(realNet);
  const { held, keep } = sockets.take([want("127.0.0.1", 0)]);
  keep();
  const { fd = -1, endpoint } = held[0]?.bound ?? {};
  const at = { address: "127.0.0.1", port: endpoint?.port ?? 0 };
  const listener = await realNet.listen({ fd }, (connection) => connection.destroy());
  assert.throws(() => realNet.bind(at), { code: "EADDRINUSE" });
  await listener.close();
  sockets.close();
  realNet.bind(at).close();
});
