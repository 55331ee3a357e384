import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { openMemoryStore } from "../queue/memory-store.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { controlPorts } from "./control-ports.ts";
import { Followers } from "./follow.ts";
import type { Relay } from "./relay.ts";

/** Mail that waits, one message for each list of recipients; the ids by sender. */
async function queued(messages: Readonly<Record<string, readonly string[]>>) {
  const clock = new ManualClock();
  const store = await openMemoryStore({ owner: "us", clock, log: memoryLog() });
  for (const [sender, addresses] of Object.entries(messages)) {
    const recipients = addresses.map((address) => ({
      address,
      original: address,
      notify: undefined,
      orcpt: undefined,
      status: "pending" as const,
      reason: undefined,
      dsn: undefined,
    }));
    const id = store.nextId();
    const origin = { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" } as const;
    const rest = {
      size_bytes: 6,
      eightBit: false,
      smtputf8: false,
      envid: undefined,
      ret: undefined,
      headerEnd_bytes: 0,
    };
    await store.accept({
      id,
      arrival_ms: 0,
      body: Buffer.from("body\r\n"),
      envelope: { sender, recipients, origin, ...rest },
    });
    await store.settle({ id, outcomes: [], nextAttempt_ms: 1e12, destination: "", notifications: [] });
  }
  return store;
}

test("postqueue -s tries mail for a site as fast_flush does, with no fast_flush_domains to name it in", async () => {
  const store = await queued({
    one: ["a@Site.example"],
    two: ["a@other.example", "b@site.example"],
    none: ["a@other.example", "site.example@other.example", "a@sub.site.example", "a@xsite.example"],
  });
  const relay = { flush: (which: Parameters<typeof store.flush>[0]) => store.flush(which) } as Relay;
  assert.equal(await controlPorts(store, relay, new Followers(new ManualClock())).flush({ site: "SITE.example" }), 2);
  const due = (await store.list(undefined, 10)).filter(({ nextAttempt_ms }) => nextAttempt_ms === 0);
  assert.deepEqual(due.map(({ envelope }) => envelope.sender).sort(), ["one", "two"]);
  assert.equal(await controlPorts(store, relay, new Followers(new ManualClock())).flush({}), 1);
});

test("mail that waits for one destination is tried by its name", async () => {
  const store = await queued({ one: ["a@x.example"], two: ["a@x.example"] });
  const asked: unknown[] = [];
  const relay = { flush: async (which: Parameters<typeof store.flush>[0]) => asked.push(which) } as unknown as Relay;
  assert.equal(
    await controlPorts(store, relay, new Followers(new ManualClock())).flush({ destination: "smtp:x.example" }),
    1,
  );
  assert.deepEqual(asked, [{ destination: "smtp:x.example" }]);
});
