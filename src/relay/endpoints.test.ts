import assert from "node:assert/strict";
import { test } from "node:test";
import { NameError } from "../runtime/names.ts";
import { serviceEndpoints } from "./endpoints.ts";
import { addressSet, findNamed, ownAddresses } from "./own-addresses.ts";

const names: Readonly<Record<string, readonly string[]>> = { "mx.example": ["192.0.2.1", "2001:db8::1"] };
const resolve = async (name: string) => names[name] ?? Promise.reject(new Error(`${name}: not found`));
const inet = (host: string) => ({ host, port: 25 });

async function listens(host: string, interfaces: string[], protocols = ["all"]): Promise<string[]> {
  const found = await serviceEndpoints(inet(host), { inet_interfaces: interfaces, inet_protocols: protocols }, resolve);
  return found.map(({ endpoint, optional }) => `${endpoint.address}${optional ? " (optional)" : ""}`);
}

test("without a host of its own a service listens where inet_interfaces says", async () => {
  assert.deepEqual(await listens("", ["all"]), ["0.0.0.0 (optional)", ":: (optional)"]);
  assert.deepEqual(await listens("", ["loopback-only"]), ["127.0.0.1 (optional)", "::1 (optional)"]);
  assert.deepEqual(await listens("", ["127.0.0.1", "mx.example", "[::1]"]), [
    "127.0.0.1",
    "192.0.2.1",
    "2001:db8::1",
    "::1",
  ]);
});

test("its own host goes first, and words of inet_interfaces mean nothing there", async () => {
  assert.deepEqual(await listens("127.0.0.1", ["all"]), ["127.0.0.1"]);
  await assert.rejects(listens("all", ["127.0.0.1"]), /all: not found/);
});

test("inet_protocols leaves the other protocol out", async () => {
  assert.deepEqual(await listens("", ["all"], ["ipv4"]), ["0.0.0.0 (optional)"]);
  assert.deepEqual(await listens("mx.example", [], ["ipv6"]), ["2001:db8::1"]);
});

test("an address that is named twice is bound once", async () => {
  assert.deepEqual(await listens("", ["192.0.2.1", "mx.example"]), ["192.0.2.1", "2001:db8::1"]);
});

test("our own addresses are those of the interfaces that we take mail on, and those of proxies", () => {
  const interfaces = [
    { name: "lo", address: "127.0.0.1", family: 4 as const, prefix_bits: 8, loopback: true },
    { name: "eth0", address: "192.0.2.1", family: 4 as const, prefix_bits: 24, loopback: false },
    { name: "eth0", address: "2001:db8::1", family: 6 as const, prefix_bits: 64, loopback: false },
  ];
  const own = (inet_interfaces: string[], proxy_interfaces: string[] = []) =>
    ownAddresses({ inet_interfaces, proxy_interfaces }, interfaces);
  assert.deepEqual(own(["all"]), ["127.0.0.1", "192.0.2.1", "2001:db8::1"]);
  assert.deepEqual(own(["loopback-only"], ["[203.0.113.5]"]), ["127.0.0.1", "203.0.113.5"]);
  assert.deepEqual(own(["192.0.2.9"]), ["192.0.2.9"]);
  const named = new Map([["gate.example", ["198.51.100.7"]]]);
  const proxied = { inet_interfaces: ["192.0.2.9"], proxy_interfaces: ["gate.example", "other.example"] };
  assert.deepEqual(ownAddresses(proxied, interfaces, named), ["192.0.2.9", "198.51.100.7"]);
  const isOwn = addressSet(own(["all"]));
  assert.ok(isOwn("2001:0db8:0:0::1") && isOwn("192.0.2.1"));
  assert.ok(!isOwn("192.0.2.2") && !isOwn("not an address") && !isOwn(""));
});

test("names of proxies are looked up once, and one that is not known is told", async () => {
  const asked: string[] = [];
  const unknown: string[] = [];
  const names = {
    async native(name: string) {
      asked.push(name);
      if (name !== "gate.example") throw new NameError("notFound", name);
      return [{ address: "198.51.100.7", family: 4 as const }];
    },
  };
  const conf = { inet_interfaces: ["all", "192.0.2.1"], proxy_interfaces: ["gate.example", "gone.example", "[::1]"] };
  const named = await findNamed(conf, names, (parameter, name) => unknown.push(`${parameter} ${name}`));
  assert.deepEqual([...named], [["gate.example", ["198.51.100.7"]]]);
  assert.deepEqual(asked, ["gate.example", "gone.example"]);
  assert.deepEqual(unknown, ["proxy_interfaces gone.example"]);
});
