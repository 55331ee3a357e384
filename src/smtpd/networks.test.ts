import assert from "node:assert/strict";
import { test } from "node:test";
import { Maps, noMaps } from "../table/maps.ts";
import { coversWorld, NetworkList, NetworkPatternError, type NetworkSources } from "./networks.ts";

const none: NetworkSources = { file: () => "", table: () => noMaps };
const list = (text: string, sources = none): NetworkList => new NetworkList(text.split(" "), sources);

test("a client is let in by the network it is in", () => {
  const networks = list("127.0.0.0/8 192.0.2.128/25 [2001:db8::]/32 2001:db9::1 198.51.100.7");
  for (const address of [
    "127.9.9.9",
    "192.0.2.128",
    "192.0.2.255",
    "2001:db8:ffff::1",
    "2001:db9::1",
    "198.51.100.7",
    "::ffff:127.0.0.1",
  ]) {
    assert.equal(networks.matches("unknown", address), true, address);
  }
  for (const address of ["128.0.0.1", "192.0.2.127", "2001:db9::2", "198.51.100.8", "::7f00:1", "nonsense", ""]) {
    assert.equal(networks.matches("unknown", address), false, address);
  }
});

test("the first pattern that matches decides, so that exclusions stand before what they are taken from", () => {
  assert.equal(list("!192.0.2.1 192.0.2.0/24").matches("unknown", "192.0.2.1"), false);
  assert.equal(list("192.0.2.0/24 !192.0.2.1").matches("unknown", "192.0.2.1"), true);
  assert.equal(list("!192.0.2.1").matches("unknown", "192.0.2.2"), false);
});

test("names match a client's verified name, and names below it", () => {
  const networks = list("relay.test");
  assert.equal(networks.matches("Relay.Test", "203.0.113.1"), true);
  assert.equal(networks.matches("a.relay.test", "203.0.113.1"), true);
  assert.equal(networks.matches("notrelay.test", "203.0.113.1"), false);
  assert.equal(networks.matches("unknown", "203.0.113.1"), false);
});

test("files hold more patterns, with comments, and may be excluded as a whole", () => {
  const files: Record<string, string> = {
    "/nets": "192.0.2.0/24 # the office\n# all else\n/more",
    "/more": "[2001:db8::]/32\n",
  };
  const sources = { ...none, file: (path: string) => files[path] ?? "" };
  assert.equal(list("/nets", sources).matches("unknown", "2001:db8::5"), true);
  assert.equal(list("!/nets 0.0.0.0/0", sources).matches("unknown", "192.0.2.5"), false);
  assert.throws(() => list("/loop", { ...none, file: () => "/loop" }), NetworkPatternError);
});

test("tables are asked for the name and the address, at once or later", async () => {
  const entries = new Map([
    ["203.0.113.1", "x"],
    ["known.test", "x"],
  ]);
  const maps = (get: (key: string) => string | undefined | Promise<string | undefined>): Maps =>
    new Maps([{ reference: "hash:/t", patterns: false, current: { get, close: async () => {} } }]);
  const atOnce = list("hash:/t", { ...none, table: () => maps((key) => entries.get(key)) });
  assert.equal(atOnce.matches("unknown", "203.0.113.1"), true);
  assert.equal(atOnce.matches("known.test", "203.0.113.9"), true);
  assert.equal(atOnce.matches("unknown", "203.0.113.9"), false);
  const later = list("!hash:/t 0.0.0.0/0", { ...none, table: () => maps(async (key) => entries.get(key)) });
  assert.equal(await later.matches("unknown", "203.0.113.1"), false);
  assert.equal(await later.matches("unknown", "203.0.113.9"), true);
});

test("a pattern that means something else than it says is refused", () => {
  for (const pattern of [
    "192.0.2.1/24",
    "192.0.2.0/33",
    "[2001:db8::1]/32",
    "1.2.3",
    "1.2.3.4.5",
    "[relay.test]",
    "[::1",
    "a/b",
    "300.1.1.1",
  ]) {
    assert.throws(() => list(pattern), NetworkPatternError, pattern);
  }
});

test("networks that cover the world are found, alone or together", () => {
  for (const text of [
    "0.0.0.0/0",
    "0.0.0.0/1 128.0.0.0/1",
    "128.0.0.0/2 192.0.0.0/2 0.0.0.0/1",
    "!10.0.0.0/8 0.0.0.0/0",
  ]) {
    assert.equal(coversWorld(list(text)), "IPv4", text);
  }
  assert.equal(coversWorld(list("127.0.0.0/8 [::]/0")), "IPv6");
  assert.equal(coversWorld(list("[::]/1 [8000::]/1")), "IPv6");
  for (const text of ["127.0.0.0/8", "0.0.0.0/1", "0.0.0.0/1 128.0.0.0/2", "[2000::]/3", "!0.0.0.0/0"]) {
    assert.equal(coversWorld(list(text)), undefined, text);
  }
});
