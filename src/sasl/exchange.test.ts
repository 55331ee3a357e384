import assert from "node:assert/strict";
import { test } from "node:test";
import { realCrypto } from "../runtime/crypto.ts";
import { anonymous } from "./anonymous.ts";
import { cramMd5 } from "./cram-md5.ts";
import { type AuthAction, AuthExchange } from "./exchange.ts";
import { login } from "./login.ts";
import { type ClientMechanism, SaslError } from "./mechanism.ts";
import { plain } from "./plain.ts";
import { scramSha1 } from "./scram.ts";

interface Given {
  readonly username?: string;
  readonly password?: string;
  readonly softBounce?: boolean;
}

function exchange(mechanism: ClientMechanism, given: Given = {}): AuthExchange {
  const { username = "test", password = "testpass", softBounce = true } = given;
  const random = (count: number) => Buffer.alloc(count, 1);
  const context = { username, password, service: "smtp", host: "mail.example", random, crypto: realCrypto } as const;
  return new AuthExchange({ mechanism, context, server: "mail.example[192.0.2.1]", softBounce });
}

/** Plays replies; what was sent, and how it ended. */
async function play(subject: AuthExchange, ...replies: readonly (readonly [number, string])[]) {
  const sent: string[] = [];
  let action: AuthAction = await subject.start();
  for (const [code, text] of replies) {
    if (action.kind !== "send") break;
    sent.push(action.line);
    action = await subject.onReply(code, text);
  }
  if (action.kind === "send") sent.push(action.line);
  return { sent, action, failure: action.kind === "failed" ? action.failure : undefined };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

test("an initial response goes with AUTH, and a 235 ends it", async () => {
  const { sent, action } = await play(exchange(plain), [235, "2.7.0 ok"]);
  assert.deepEqual(sent, [`AUTH PLAIN ${base64("\0test\0testpass")}`]);
  assert.equal(action.kind, "done");
});

test("a 250 counts as success too", async () => {
  assert.equal((await play(exchange(plain), [250, "ok"])).action.kind, "done");
});

test("an empty initial response is sent as =", async () => {
  assert.deepEqual((await play(exchange(anonymous, { username: "" }))).sent, ["AUTH ANONYMOUS ="]);
});

test("an AUTH line of 512 octets keeps its initial response, a longer one goes without", async () => {
  const fits = "p".repeat(370 - "test".length - 2);
  const [line = ""] = (await play(exchange(plain, { password: fits }))).sent;
  assert.ok(line.length + 2 <= 512 && line.includes(" ", 5));
  const long = "p".repeat(400);
  const { sent, action } = await play(exchange(plain, { password: long }), [334, ""], [235, "ok"]);
  assert.deepEqual(sent, ["AUTH PLAIN", base64(`\0test\0${long}`)]);
  assert.equal(action.kind, "done");
});

test("a challenge that is not empty where the initial response was held back is cancelled", async () => {
  const password = "p".repeat(400);
  const { sent, failure } = await play(exchange(plain, { password }), [334, base64("who?")], [501, "cancelled"]);
  assert.deepEqual(sent, ["AUTH PLAIN", "*"]);
  assert.equal(failure?.dsn, "4.7.0");
  assert.match(failure?.text ?? "", /non-empty initial PLAIN challenge from server mail\.example\[192\.0\.2\.1\]/);
});

test("a 235 before the withheld initial response was sent is not believed", async () => {
  const { failure } = await play(exchange(plain, { password: "p".repeat(400) }), [235, "ok"]);
  assert.equal(failure?.why, "untrusted");
});

test("a challenge that is not base64 is answered with *, whatever comes back", async () => {
  for (const reply of [
    [501, "cancelled"],
    [235, "ok"],
    [334, "more"],
  ] as const) {
    const { sent, failure } = await play(exchange(login), [334, "Username:"], reply);
    assert.deepEqual(sent, ["AUTH LOGIN", "*"]);
    assert.equal(failure?.why, "untrusted");
    assert.equal(failure?.dsn, "4.7.0");
  }
});

test("a 235 that skips SCRAM's signature is not believed", async () => {
  const { failure } = await play(exchange(scramSha1), [235, "ok"]);
  assert.equal(failure?.why, "untrusted");
  assert.match(failure?.text ?? "", /^SASL authentication failed; cannot authenticate to server mail\.example/);
});

test("SCRAM with too few rounds gets no proof", async () => {
  const nonce = Buffer.alloc(18, 1).toString("base64");
  const { sent } = await play(exchange(scramSha1), [334, base64(`r=${nonce}x,s=QSXC,i=1`)]);
  assert.equal(sent[1], "*");
});

test("an exchange that does not end is a loop", async () => {
  const endless: ClientMechanism = {
    name: "X",
    properties: new Set(),
    start: () => ({ initialResponse: undefined, step: () => Buffer.from("more"), finish() {} }),
  };
  const replies = Array.from({ length: 102 }, () => [334, ""] as const);
  const { sent, failure } = await play(exchange(endless), ...replies);
  assert.equal(sent.length, 101);
  assert.equal(failure?.why, "loop");
  assert.equal(failure?.dsn, "4.3.0");
});

test("a 5xx is temporary with soft bounce, and permanent without", async () => {
  const soft = await play(exchange(plain), [535, "5.7.8 Error: authentication failed"]);
  assert.equal(soft.failure?.dsn, "4.7.8");
  assert.equal(soft.failure?.code, 535);
  assert.equal(
    soft.failure?.text,
    "SASL authentication failed; server mail.example[192.0.2.1] said: 535 5.7.8 Error: authentication failed",
  );
  const hard = await play(exchange(plain, { softBounce: false }), [535, "5.7.8 Error: authentication failed"]);
  assert.equal(hard.failure?.dsn, "5.7.8");
  assert.equal((await play(exchange(plain, { softBounce: false }), [454, "4.7.0 later"])).failure?.dsn, "4.7.0");
});

test("an enhanced code whose class contradicts the reply is ignored", async () => {
  assert.equal((await play(exchange(plain, { softBounce: false }), [535, "2.0.0 what"])).failure?.dsn, "5.0.0");
  assert.equal((await play(exchange(plain), [999, "hm"])).failure?.dsn, "4.0.0");
});

test("what went into AUTH is masked in whatever form it comes back", async () => {
  const echoes = [
    `5.5.4 unrecognised: AUTH PLAIN ${base64("\0test\0testpass")}`,
    `auth plain ${base64("\0test\0testpass").toLowerCase()}`,
    `AUTH PLAIN ${base64("\0test\0testpass").slice(0, 14)}`,
    `bad password "testpass"`,
    `bad password TESTPASS.`,
    `got ${Buffer.from("testpass").toString("hex")}`,
    `line=${base64("\0test\0testpass").replace(/=+$/, "")};`,
    `decoded as ${base64("user test password testpass!")}`,
  ];
  for (const echo of echoes) {
    const { failure } = await play(exchange(plain), [535, echo]);
    for (const secret of ["testpass", base64("\0test\0testpass").slice(4, 12)]) {
      assert.ok(!failure?.text.toLowerCase().includes(secret.toLowerCase()), `${echo} -> ${failure?.text}`);
      assert.ok(!failure?.reply?.toLowerCase().includes(secret.toLowerCase()));
    }
  }
});

test("a user name and ordinary words are not masked, nor is a short password inside a word", async () => {
  const subject = exchange(login, { password: "er" });
  await play(subject, [334, base64("Username:")], [334, base64("Password:")]);
  assert.equal(subject.mask("535 5.7.8 Error: user test unknown"), "535 5.7.8 Error: user test unknown");
  assert.equal(subject.mask("535 password er is wrong"), "535 password *** is wrong");
});

test("the CRAM-MD5 digest is masked as well", async () => {
  const subject = exchange(cramMd5);
  const { sent } = await play(subject, [334, base64("<1@example>")]);
  const digest =
    Buffer.from(sent[1] ?? "", "base64")
      .toString()
      .split(" ")[1] ?? "";
  assert.equal(digest.length, 32);
  assert.ok(!subject.mask(`535 got ${digest}`).includes(digest));
});

test("credentials that the mechanism cannot carry fail before anything is sent", async () => {
  const { sent, failure } = await play(exchange(plain, { username: "" }));
  assert.deepEqual(sent, []);
  assert.equal(failure?.why, "unusable");
  assert.equal(failure?.dsn, "4.7.0");
});

test("credentials beyond ASCII are prepared for SCRAM", async () => {
  const { sent } = await play(exchange(scramSha1, { username: "us\u00ader", password: "\u2168" }));
  assert.match(Buffer.from(sent[0]?.split(" ")[2] ?? "", "base64").toString(), /^n,,n=user,r=/);
});

test("a bug in a mechanism is not taken for the server's fault", async () => {
  const broken: ClientMechanism = {
    name: "X",
    properties: new Set(),
    start: () => ({
      initialResponse: undefined,
      step: () => {
        throw new TypeError("bug");
      },
      finish() {},
    }),
  };
  await assert.rejects(async () => play(exchange(broken), [334, ""]), TypeError);
  assert.ok(new SaslError("x") instanceof Error);
});
