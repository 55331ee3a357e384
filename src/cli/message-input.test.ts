import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { messageInput } from "./message-input.ts";

async function read(pieces: readonly string[], dotEnds = true): Promise<string> {
  const input = (async function* () {
    for (const piece of pieces) yield Buffer.from(piece, "latin1");
  })();
  const out: Buffer[] = [];
  for await (const bytes of messageInput(input, { dotEnds })) out.push(bytes);
  return Buffer.concat(out).toString("latin1");
}

/** At every place at which the text can be cut in two, and cut into single bytes. */
async function always(text: string, expected: string, dotEnds = true): Promise<void> {
  for (let at = 0; at <= text.length; at++) {
    assert.equal(await read([text.slice(0, at), text.slice(at)], dotEnds), expected, `cut at ${at}`);
  }
  assert.equal(await read([...text], dotEnds), expected, "cut everywhere");
}

test("a message goes through as it is, with a last line that does not end too", async () => {
  await always("Subject: x\n\nbody\n", "Subject: x\n\nbody\n");
  await always("Subject: x\n\nbody\n\n no end", "Subject: x\n\nbody\n\n no end");
  await always("", "");
});

test("leading mbox lines are dropped, later ones are not", async () => {
  await always("From root Mon\n>>From x\nA: b\n\nFrom y\n", "A: b\n\nFrom y\n");
  await always("From: x\nFrom y\n", "From: x\nFrom y\n");
  await always("From without an end", "From without an end");
});

test("a single dot ends the message, in its header and without a line end too", async () => {
  await always("A: b\n\nc\n.\nlost\n", "A: b\n\nc\n");
  await always("A: b\n.\nlost\n", "A: b\n");
  await always("A: b\n.", "A: b\n");
  await always(".\n", "");
  await always("A: b\n..\n.x\n . \n", "A: b\n..\n.x\n . \n");
});

test("with -i a single dot is text", async () => {
  await always("a\n.\nb\n.", "a\n.\nb\n.", false);
});

test("CRs before a line end are dropped, others stay", async () => {
  await always("A: b\r\n\r\nc\rd\r\r\n.\r\nlost\r\n", "A: b\n\nc\rd\n");
  await always("a\r", "a\r");
});

test("a long line is neither a dot nor an mbox line, and is not kept whole", async () => {
  const long = `From ${"x".repeat(5000)}`;
  assert.equal(await read([`${long}\nb\n`]), `${long}\nb\n`);
  assert.equal(await read([long.slice(0, 3000), long.slice(3000), "\r", "\n.\n"]), `${long}\n`);
  let largest = 0;
  const input = (async function* () {
    for (let count = 0; count < 50; count++) yield Buffer.alloc(1000, "x");
  })();
  for await (const bytes of messageInput(input, { dotEnds: true })) largest = Math.max(largest, bytes.length);
  assert.ok(largest <= 4000, `${largest} bytes at once`);
});

test("how the input is cut makes no difference", async () => {
  const piece = fc.constantFrom(
    "From a",
    ">From b",
    ".",
    "\r",
    "\n",
    "\n",
    "x",
    "\r\n",
    "y".repeat(2047),
    "\r".repeat(2049),
  );
  const arbitrary = fc.tuple(
    fc.array(piece, { maxLength: 12 }),
    fc.array(fc.nat(9000), { maxLength: 4 }),
    fc.boolean(),
  );
  await fc.assert(
    fc.asyncProperty(arbitrary, async ([pieces, cuts, dotEnds]) => {
      const text = pieces.join("");
      const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
      const cut = places.slice(1).map((end, index) => text.slice(places[index], end));
      assert.equal(await read(cut, dotEnds), await read([text], dotEnds));
    }),
    { numRuns: 1000 },
  );
});
