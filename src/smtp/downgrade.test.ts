import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Downgrade } from "./downgrade.ts";

function downgrade(text: string, cut = text.length): string {
  const converter = new Downgrade();
  const bytes = Buffer.from(text, "latin1");
  const pieces = [converter.push(bytes.subarray(0, cut)), converter.push(bytes.subarray(cut)), converter.end()];
  return Buffer.concat(pieces).toString("latin1");
}

const header = "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n";

test("what is declared 8bit becomes quoted-printable, and the header says so", () => {
  const sent = downgrade(`${header}Content-Transfer-Encoding: 8bit\r\n\r\n\xfc=\t \r\n`);
  assert.equal(sent, `${header}Content-Transfer-Encoding: quoted-printable\r\n\r\n=FC=3D\t=20\r\n`);
});

test("what no MIME header speaks for is left alone", () => {
  const text = `${header}\r\n\xfc\r\n`;
  assert.equal(downgrade(text), text);
});

test("long lines get soft breaks, and nothing is lost", () => {
  const sent = downgrade(`${header}Content-Transfer-Encoding: 8BIT\r\n\r\n${"\xe4b".repeat(200)}\r\n`);
  const lines = sent.split("\r\n").slice(4, -1);
  for (const line of lines) assert.ok(line.length <= 76);
  const decoded = lines
    .join("\r\n")
    .replaceAll("=\r\n", "")
    .replace(/=(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  assert.equal(decoded, "\xe4b".repeat(200));
});

test("only the parts that need it are converted; multiparts are declared 7bit", () => {
  const sent = downgrade(
    'Content-Type: multipart/mixed;\r\n boundary="b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xfc\r\n--b\r\n\r\n=plain\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n--b--\r\n=epilogue\r\n',
  );
  assert.equal(
    sent,
    'Content-Type: multipart/mixed;\r\n boundary="b"\r\nContent-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\n--b\r\n\r\n=plain\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n--b--\r\n=epilogue\r\n',
  );
});

test("where the body is cut does not show", () => {
  const text = `${header}Content-Transfer-Encoding: 8bit\r\nX-Long: a\r\n b\r\n\r\n${"\xfcx ".repeat(50)}\r\n.\r\nend \r\n`;
  fc.assert(fc.property(fc.nat(text.length), (cut) => assert.equal(downgrade(text, cut), downgrade(text))));
});

test("a header and a line without end do not take memory without end", () => {
  const converter = new Downgrade();
  let out = 0;
  for (let count = 0; count < 100; count++)
    out += converter.push(Buffer.alloc(64 * 1024, count < 50 ? "X-A: b" : "c")).length;
  out += converter.end().length;
  assert.ok(out >= 100 * 64 * 1024);
});
