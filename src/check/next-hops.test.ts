import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realRuntime } from "../runtime/real.ts";
import { setScene } from "./scene.ts";

test("every next hop that the configuration names is found once, with what leads there and for whom", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "next-hops-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const table = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return `texthash:${join(directory, name)}`;
  };
  const transports =
    "a.example smtp:[a.example]:26\nb.example :[b.example]\nc.example error:no\nd.example relay:[a.example]:26\n*  :\n";
  const main = {
    ...{
      compatibility_level: "3.6",
      myhostname: "relay.example",
      mydestination: "",
      alias_maps: "",
      queue_directory: directory,
    },
    relayhost: "[one.example]:587, [two.example]:587",
    transport_maps: table("transport", transports),
    sender_dependent_relayhost_maps: table(
      "senders",
      "me@x.example [three.example]:587\n@y.example [one.example]:587\nz@x.example DUNNO\n",
    ),
    sender_dependent_default_transport_maps: table("defaults", "@v.example smtp:[four.example]\n"),
    smtp_fallback_relay: "[last.example]",
  };
  writeFileSync(
    join(directory, "main.cf"),
    Object.entries(main)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(""),
  );
  writeFileSync(join(directory, "master.cf"), "");
  const { scene } = await setScene(realRuntime(), { directory, env: {} });
  const found = scene?.hops.map(({ nexthop, parameter, sender, transport }) => [
    transport.name,
    nexthop,
    parameter,
    sender,
  ]);
  assert.deepEqual(found, [
    ["smtp", "[one.example]:587", "relayhost", undefined],
    ["smtp", "[two.example]:587", "relayhost", undefined],
    ["smtp", "[a.example]:26", "transport_maps", undefined],
    ["smtp", "[b.example]", "transport_maps", undefined],
    ["relay", "[a.example]:26", "transport_maps", undefined],
    ["smtp", "[three.example]:587", "sender_dependent_relayhost_maps", "me@x.example"],
    ["smtp", "[four.example]", "sender_dependent_default_transport_maps", "postmaster@v.example"],
    ["smtp", "[last.example]", "smtp_fallback_relay", undefined],
    ["relay", "[last.example]", "smtp_fallback_relay", undefined],
  ]);
  assert.equal(scene?.hops[0]?.place.file, join(directory, "main.cf"));
});
