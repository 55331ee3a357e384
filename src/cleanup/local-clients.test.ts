import assert from "node:assert/strict";
import { test } from "node:test";
import { testMaps } from "../routing/test-router.ts";
import { TableError } from "../table/table.ts";
import { LocalClients } from "./local-clients.ts";

const client = { address: "192.0.2.9", authenticated: false, onThisHost: () => true, inMyNetworks: () => false };
const tables = { "hash:c": { "192.0.2.9": "any" }, "hash:broken": new TableError("retry", "away") };
const clients = (words: readonly string[], later = false) => new LocalClients(words, testMaps({ tables, later }));

test("local_header_rewrite_clients: a client on this host, in mynetworks, or logged in, as its words say", () => {
  assert.equal(clients(["permit_inet_interfaces"]).has(client), true);
  assert.equal(clients(["permit_mynetworks", "permit_sasl_authenticated"]).has(client), false);
  assert.equal(clients(["permit_sasl_authenticated"]).has({ ...client, authenticated: true }), true);
  assert.equal(clients([]).has(client), false);
});

test("a table has the addresses of clients, with or without check_address_map before it", async () => {
  const other = { ...client, address: "192.0.2.10" };
  assert.equal(clients(["check_address_map", "hash:c"]).has(client), true);
  assert.equal(await clients(["permit_mynetworks", "hash:c"], true).has(client), true);
  assert.equal(await clients(["hash:c"], true).has(other), false);
  assert.throws(() => clients(["hash:broken"]).has(client), TableError);
});
