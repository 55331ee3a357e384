import assert from "node:assert/strict";
import { test } from "node:test";
import { realCrypto } from "../runtime/crypto.ts";
import { anonymous } from "./anonymous.ts";
import { cramMd5 } from "./cram-md5.ts";
import { login } from "./login.ts";
import { type ClientMechanism, type SaslContext, SaslError, type SaslSession } from "./mechanism.ts";
import { clientMechanisms } from "./mechanisms.ts";
import { plain } from "./plain.ts";
import { preload, prepared } from "./saslprep.ts";
import { scramSha1, scramSha256 } from "./scram.ts";

function context(username: string, password: string, nonce = "fyko+d2lbbFgONRv9qkxdawL"): SaslContext {
  const random = () => Buffer.from(nonce, "base64");
  return { username, password, service: "smtp", host: "mail.example", random, crypto: realCrypto };
}

async function answer(session: SaslSession, challenge: string): Promise<string> {
  return (await session.step(Buffer.from(challenge))).toString();
}

/** Everything up to the server's final message. */
async function afterProof(mechanism: ClientMechanism, given: SaslContext, serverFirst: string) {
  const session = mechanism.start(given);
  return { session, proof: await answer(session, serverFirst) };
}

const sha1First = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const sha1Final = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";
const pencil = context("user", "pencil");

test("SCRAM-SHA-1 is as in RFC 5802 section 5", async () => {
  const session = scramSha1.start(pencil);
  assert.equal(session.initialResponse?.toString(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
  const proof = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
  assert.equal(await answer(session, sha1First), proof);
  assert.equal(await answer(session, sha1Final), "");
  session.finish();
});

test("SCRAM-SHA-256 is as in RFC 7677 section 3", async () => {
  const session = scramSha256.start(context("user", "pencil", "rOprNGfwEbeRWgbNEkqO"));
  assert.equal(session.initialResponse?.toString(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  const nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  assert.equal(
    await answer(session, `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`),
    `c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`,
  );
  assert.equal(await answer(session, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), "");
  session.finish();
});

test("a server that does not prove itself is not believed", async () => {
  const { session } = await afterProof(scramSha1, pencil, sha1First);
  assert.throws(() => session.finish(), SaslError);
  assert.throws(() => session.step(Buffer.from("v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=")), /signature is wrong/);
  assert.throws(() => session.finish(), SaslError);
  assert.throws(() => scramSha1.start(pencil).finish(), SaslError);
});

test("a server's error, nonce, salt, rounds or extension that cannot be trusted ends SCRAM before the proof", async () => {
  const nonce = "fyko+d2lbbFgONRv9qkxdawL";
  const bad = [
    "e=unknown-user",
    "",
    `m=x,r=${nonce}x,s=QSXCR+Q6sek8bf92,i=4096`,
    `r=${nonce},s=QSXCR+Q6sek8bf92,i=4096`,
    "r=notours123,s=QSXCR+Q6sek8bf92,i=4096",
    `r=${nonce}x,s=,i=4096`,
    `r=${nonce}x,s=?,i=4096`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=1`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=4095`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=0`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=-1`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=600001`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=2147483648`,
    `r=${nonce}x,s=QSXCR+Q6sek8bf92,i=99999999999`,
  ];
  for (const serverFirst of bad) {
    await assert.rejects(async () => answer(scramSha1.start(pencil), serverFirst), SaslError, serverFirst);
  }
});

test("a server-final that reports an error, or comes twice, is refused", async () => {
  const { session } = await afterProof(scramSha1, pencil, sha1First);
  assert.throws(() => session.step(Buffer.from("e=invalid-proof")), /invalid-proof/);
  const again = await afterProof(scramSha1, pencil, sha1First);
  await answer(again.session, sha1Final);
  assert.throws(() => again.session.step(Buffer.from(sha1Final)), SaslError);
});

test("commas and equal signs in a SCRAM user name are escaped", () => {
  assert.match(scramSha256.start(context("a=b,c", "x")).initialResponse?.toString() ?? "", /^n,,n=a=3Db=2Cc,r=/);
});

test("SASLprep is as in RFC 4013 section 3, and a prohibited character is refused without being quoted", async () => {
  await preload();
  assert.equal(prepared("I\u00adX", "password"), "IX");
  assert.equal(prepared("user", "password"), "user");
  assert.equal(prepared("\u00aa", "password"), "a");
  assert.equal(prepared("\u2168", "password"), "IX");
  assert.throws(() => prepared("\u0007", "password"), SaslError);
  assert.throws(() => prepared("\u0627\u0031", "password"), SaslError);
});

test("PLAIN is as in RFC 4616, UTF-8 included, and carries no NUL", () => {
  assert.equal(plain.start(context("tim", "tanstaaftanstaaf")).initialResponse?.toString(), "\0tim\0tanstaaftanstaaf");
  assert.equal(plain.start(context("é", "ü:ü")).initialResponse?.toString("utf8"), "\0é\0ü:ü");
  assert.equal(plain.start(context("tim", "")).initialResponse?.toString(), "\0tim\0");
  assert.throws(() => plain.start(context("tim\0root", "x")), SaslError);
  assert.throws(() => plain.start(context("tim", "x\0y")), SaslError);
  assert.throws(() => plain.start(pencil).step(Buffer.alloc(0)), SaslError);
});

test("an empty user name is refused by every mechanism that has one", () => {
  for (const mechanism of clientMechanisms.filter(({ name }) => name !== "ANONYMOUS")) {
    assert.throws(() => mechanism.start(context("", "x")), SaslError, mechanism.name);
  }
});

test("LOGIN answers two questions in order, and no third", async () => {
  const session = login.start(pencil);
  assert.equal(session.initialResponse, undefined);
  assert.throws(() => session.finish(), SaslError);
  assert.equal(await answer(session, "Username:"), "user");
  assert.equal(await answer(session, "Geheimwort?"), "pencil");
  session.finish();
  assert.throws(() => session.step(Buffer.from("Again:")), SaslError);
});

test("CRAM-MD5 is as in RFC 2195 section 3", async () => {
  const session = cramMd5.start(context("tim", "tanstaaftanstaaf"));
  assert.throws(() => session.finish(), SaslError);
  const challenge = "<1896.697170952@postoffice.reston.mci.net>";
  assert.equal(await answer(session, challenge), "tim b913a602c7eda7a495b4e6e7334d3890");
  session.finish();
  assert.throws(() => session.step(Buffer.from(challenge)), SaslError);
});

test("ANONYMOUS sends the user name as trace, and nothing secret", () => {
  assert.equal(anonymous.start(context("sirhc", "secret")).initialResponse?.toString(), "sirhc");
});

test("mechanisms come strongest first", () => {
  const names = clientMechanisms.map(({ name }) => name);
  assert.deepEqual(names, ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN", "ANONYMOUS"]);
});
