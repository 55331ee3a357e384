import assert from "node:assert/strict";
import { test } from "node:test";
import { Mask } from "./mask.ts";

function masked(text: string, ...secrets: (string | Buffer)[]): string {
  const mask = new Mask();
  for (const secret of secrets) mask.add(secret);
  return mask.apply(text);
}

test("letters whose lower case is longer do not hide a secret", () => {
  assert.equal(masked("535 İİ your password is hunter22", "hunter22"), "535 İİ your password is ***");
});

test("a secret is found whatever stands around its letters", () => {
  assert.equal(masked("535 ΟΔΥΣΣΕΥΣa", "ΟΔΥΣΣΕΥΣ"), "535 ***a");
  assert.equal(masked("535 <geheimßİΣx>", "geheimßİΣ"), "535 <***x>");
});

test("a secret is found in the form in which replies are shown: without control characters, and trimmed", () => {
  assert.equal(masked("535 got pa?ss-word", "pa\tss-word "), "535 got ***");
  assert.equal(masked("535 got ?me?longsecret", Buffer.from("\0me\0longsecret")), "535 got ***");
});

test("a secret beyond ASCII is found percent-encoded", () => {
  assert.equal(masked("535 q=gr%C3%BC%C3%9Fe%26co", "grüße&co"), "535 q=***");
});
