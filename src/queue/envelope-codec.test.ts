import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeEnvelope, encodeEnvelope } from "./envelope-codec.ts";
import type { Envelope, Recipient } from "./message.ts";

const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });
const maybe = fc.option(fc.string({ unit: "binary" }), { nil: undefined });
const text = fc.string({ unit: "binary" });
const notify = fc.option(
  fc.uniqueArray(fc.constantFrom("NEVER" as const, "SUCCESS" as const, "FAILURE" as const, "DELAY" as const)),
  {
    nil: undefined,
  },
);
const status = fc.constantFrom("pending" as const, "sent" as const, "bounced" as const);
const recipient: fc.Arbitrary<Recipient> = fc.oneof(
  record({ address: text, original: text, notify, orcpt: maybe, status, reason: maybe, dsn: maybe }),
  fc
    .record({ notify, orcpt: maybe, status, reason: maybe, dsn: maybe })
    .map((rest) => ({ address: "a@b", original: "a@b", ...rest })),
);
const envelope: fc.Arbitrary<Envelope> = record({
  id: fc.constant("6881B77E21000"),
  sender: text,
  recipients: fc.array(recipient, { maxLength: 5 }),
  arrival_ms: fc.nat(),
  size_bytes: fc.nat(),
  eightBit: fc.boolean(),
  smtputf8: fc.boolean(),
  envid: maybe,
  ret: fc.constantFrom("FULL" as const, "HDRS" as const, undefined),
  origin: record({
    service: fc.constantFrom("smtpd" as const, "pickup" as const, "bounce" as const),
    client: text,
    helo: text,
    protocol: text,
    saslUsername: text,
  }),
  headerEnd_bytes: fc.nat(),
  held: fc.boolean(),
  expired: fc.boolean(),
  warned: fc.boolean(),
});

test("any envelope comes back as it was", () => {
  fc.assert(
    fc.property(envelope, (given) => {
      assert.deepEqual(decodeEnvelope(given.id, encodeEnvelope(given).toString(), given), given);
    }),
  );
});

test("what is not an envelope is not taken for one", () => {
  const flags = { held: false, expired: false, warned: false };
  for (const other of ["", "{}", "[]", "[2]", "null", "[1", '[1,"a"]'])
    assert.throws(() => decodeEnvelope("1", other, flags), other);
});
