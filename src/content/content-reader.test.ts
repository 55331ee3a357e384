import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ContentOptions, ContentReader } from "./content-reader.ts";

const limits = { nesting: 100, boundary_bytes: 2048, field_bytes: 102_400, line_bytes: 2048 };

interface Seen {
  readonly events: string[];
  readonly raw: string;
}

/** What a visitor is told; with `late`, each answer comes later. */
async function read(
  pieces: readonly string[],
  options: Partial<ContentOptions> & { readonly late?: boolean } = {},
): Promise<Seen> {
  const events: string[] = [];
  let raw = "";
  let open = 0;
  const { late, ...given } = options;
  const answer = (): void | Promise<void> => {
    assert.equal(open, 0, "called before the last call was answered");
    if (!late) return undefined;
    open++;
    return new Promise((resolve) => setImmediate(() => resolve(void open--)));
  };
  const reader = new ContentReader(
    { limits, mime: true, ...given },
    {
      field(field) {
        events.push(`${field.class}${field.place === "primary" ? "!" : ""} ${field.key.toString("latin1")}`);
        raw += field.raw.toString("latin1");
        return answer();
      },
      endOfHeader: () => void events.push("end"),
      line(line) {
        events.push(`${line.offset}${line.whole ? "" : "+"} ${line.text.toString("latin1")}`);
        raw += line.raw.toString("latin1");
        return answer();
      },
      problem: (kind, near) => void events.push(`${kind}: ${near.toString("latin1")}`),
    },
  );
  for (const piece of pieces) await reader.add(Buffer.from(piece, "latin1"));
  await reader.finish();
  return { events, raw };
}

const parts = [
  'Subject: a\r\n b\r\nContent-Type: multipart/mixed;\r\n\tboundary="x y"\r\n\r\npre\r\n--x y\r\n',
  "Content-Type: message/rfc822\r\nX : 1\r\n\r\nFrom: inner\r\n\r\ntext\r\n--x y--\r\npost\r\n",
];

test("fields and lines come with the place they stand in", async () => {
  const { events, raw } = await read(parts);
  assert.deepEqual(events, [
    "primary! Subject: a\n b",
    'mime! Content-Type: multipart/mixed;\n\tboundary="x y"',
    "end",
    ...["0 ", "1 pre", "5 --x y"],
    ...["mime Content-Type: message/rfc822", "mime X: 1", "0 "],
    ...["nested From: inner", "0 ", "1 text", "0 --x y--", "8 post"],
  ]);
  assert.equal(raw, parts.join(""));
});

test("without MIME, everything behind the header is text", async () => {
  const { events } = await read(parts, { mime: false });
  assert.equal(events.filter((event) => /^(mime|nested) /.test(event)).length, 0);
});

test("a field beyond the limit is cut, and what follows it is not", async () => {
  const long = `X: ${"a".repeat(50)}\r\n ${"b".repeat(50)}\r\n ${"c".repeat(50)}\r\nY: 1\r\n\r\n`;
  const { events } = await read([long], { limits: { ...limits, field_bytes: 60 } });
  assert.deepEqual(events, [`primary! X: ${"a".repeat(50)}\n ${"b".repeat(50)}`, "primary! Y: 1", "end", "0 "]);
});

test("a line beyond the limit comes in pieces, and only its first can be a boundary", async () => {
  const text = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${"x".repeat(50)}--b\r\n--b\r\nX: 1\r\n\r\n`;
  const { events } = await read([text], { limits: { ...limits, line_bytes: 50 } });
  assert.ok(events.includes(`1+ ${"x".repeat(50)}`));
  assert.ok(events.includes("52 --b"));
  assert.ok(events.includes("mime X: 1"));
});

test("what is wrong is told once, and only where somebody asks", async () => {
  const text =
    "X: \xe9\r\nY: \xe9\r\nContent-Type: multipart/x; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n\xe9\r\n\xe9\r\n";
  const watch = new Set(["8-bit header", "8-bit text", "encoding"] as const);
  const told = (await read([text], { watch })).events.filter((event) => /^(8-bit|encoding)/.test(event));
  assert.deepEqual(told, ["8-bit header: X: \xe9", "encoding: ", "8-bit text: \xe9"]);
  assert.deepEqual(
    (await read([text])).events.filter((event) => /^(8-bit|encoding)/.test(event)),
    [],
  );
});

test("multiparts inside one another are counted", async () => {
  const level = (n: number) => `Content-Type: multipart/x; boundary=b${n}\r\n\r\n--b${n}\r\n`;
  const text = [0, 1, 2, 3, 4].map(level).join("");
  const problems = async (nesting: number) =>
    (await read([text], { limits: { ...limits, nesting }, watch: new Set(["nesting"] as const) })).events.filter(
      (event) => event.startsWith("nesting"),
    );
  assert.equal((await problems(2)).length, 1);
  assert.equal((await problems(3)).length, 0);
});

const line = fc.constantFrom(
  ...[
    "--b",
    "--b--",
    "--a",
    "",
    " folded",
    "X: 1",
    "Content-Type: multipart/mixed; boundary=b",
    "text",
    "x".repeat(30),
  ],
  ...["Content-Type: message/rfc822", "Content-Type: multipart/digest; boundary=a", "\r", "--bb", ": no", "X-y : z"],
);

test("how the text is cut, and when answers come, makes no difference, and no byte is lost", async () => {
  await fc.assert(
    fc.asyncProperty(
      ...[fc.array(line, { maxLength: 25 }), fc.array(fc.nat(400), { maxLength: 12 }), fc.boolean(), fc.boolean()],
      async (lines: string[], cuts: number[], late: boolean, whole: boolean) => {
        const text = lines.join("\r\n") + (whole ? "\r\n" : "");
        const at = [0, ...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length];
        const pieces = at.slice(1).map((end, index) => text.slice(at[index], end));
        const options = { limits: { ...limits, line_bytes: 16 } };
        const once = await read([text], options);
        assert.deepEqual(await read(pieces, { ...options, late }), once);
        // Line ends are added where the header ends without an empty line, and behind a field that lacks its own.
        assert.equal(once.raw.replace(/\r?\n/g, ""), text.replace(/\r?\n/g, ""));
      },
    ),
    { numRuns: 300 },
  );
});
