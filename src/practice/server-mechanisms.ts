import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Crypto } from "../runtime/crypto.ts";
import type { Random } from "../runtime/random.ts";

/**
 * SASL from the server's side, for the practice server: PLAIN (RFC 4616),
 * LOGIN, CRAM-MD5 (RFC 2195), SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, 7677).
 */
export interface ServerContext {
  /** The password of a user; undefined: there is no such user. */
  password(username: string): string | undefined;
  readonly name: string;
  readonly random: Random;
  readonly crypto: Crypto;
}

/**
 * What the client is sent next. "challenge": a 334. "accepted": a 235.
 * "malformed" is 501, "refused" is 535.
 */
export type ServerStep =
  | { readonly kind: "challenge"; readonly bytes: Buffer }
  | { readonly kind: "accepted"; readonly username: string }
  | { readonly kind: "refused" | "malformed" };

/** One exchange. `response` is undefined at the beginning, where the client sent no initial response. */
export type ServerExchange = (response: Buffer | undefined) => ServerStep | Promise<ServerStep>;

export type ServerMechanism = (context: ServerContext) => ServerExchange;

const refused: ServerStep = { kind: "refused" };
const malformed: ServerStep = { kind: "malformed" };
const challenge = (bytes: Buffer | string): ServerStep => ({ kind: "challenge", bytes: Buffer.from(bytes) });

const plain: ServerMechanism = (context) => (response) => {
  if (!response) return challenge("");
  const [, username, password, more] = response.toString("utf8").split("\0");
  if (username === undefined || password === undefined || more !== undefined) return malformed;
  return verdict(context, username, password);
};

const login: ServerMechanism = (context) => {
  let username: string | undefined;
  return (response) => {
    if (!response) return challenge("Username:");
    if (username !== undefined) return verdict(context, username, response.toString("utf8"));
    username = response.toString("utf8");
    return challenge("Password:");
  };
};

const cramMd5: ServerMechanism = (context) => {
  let asked = "";
  return (response) => {
    if (!asked) {
      asked = `<${context.random.bytes(12).toString("hex")}@${context.name}>`;
      return response ? malformed : challenge(asked);
    }
    const text = response?.toString("utf8") ?? "";
    const space = text.lastIndexOf(" ");
    if (space < 0) return malformed;
    const username = text.slice(0, space);
    const password = context.password(username);
    if (password === undefined) return refused;
    const digest = createHmac("md5", password).update(asked).digest("hex");
    return same(Buffer.from(digest), Buffer.from(text.slice(space + 1))) ? { kind: "accepted", username } : refused;
  };
};

const rounds = 4096;

function scram(digest: "sha1" | "sha256", length_bytes: number): ServerMechanism {
  return (context) => {
    let state: "first" | "proof" | "end" = "first";
    let clientFirst = "";
    let serverFirst = "";
    let username = "";
    let nonce = "";
    const salt = context.random.bytes(16);

    function onFirst(text: string): ServerStep {
      const [, bare, name, theirs] = /^[ny],[^,]*,(n=([^,]+),r=([^,]+)(?:,.*)?)$/s.exec(text) ?? [];
      if (bare === undefined || name === undefined || theirs === undefined) return malformed;
      clientFirst = bare;
      username = name.replaceAll("=2C", ",").replaceAll("=3D", "=");
      nonce = theirs + context.random.bytes(18).toString("base64");
      serverFirst = `r=${nonce},s=${salt.toString("base64")},i=${rounds}`;
      state = "proof";
      return challenge(serverFirst);
    }

    async function onProof(text: string): Promise<ServerStep> {
      const [, withoutProof, theirs, proof64] = /^(c=[^,]+,r=([^,]+)),p=([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
      if (withoutProof === undefined || proof64 === undefined || theirs !== nonce) return malformed;
      const password = context.password(username);
      if (password === undefined) return refused;
      const salted = await context.crypto.pbkdf2(Buffer.from(password), salt, rounds, length_bytes, digest);
      const message = `${clientFirst},${serverFirst},${withoutProof}`;
      const storedKey = createHash(digest)
        .update(hmac(digest, salted, "Client Key"))
        .digest();
      const proof = Buffer.from(proof64, "base64");
      const clientKey = hmac(digest, storedKey, message).map((byte, index) => byte ^ (proof[index] ?? 0));
      if (proof.length !== length_bytes || !same(createHash(digest).update(clientKey).digest(), storedKey))
        return refused;
      state = "end";
      return challenge(`v=${hmac(digest, hmac(digest, salted, "Server Key"), message).toString("base64")}`);
    }

    return (response) => {
      if (state === "end") return response?.length === 0 ? { kind: "accepted", username } : malformed;
      if (!response) return state === "first" ? challenge("") : malformed;
      const text = response.toString("utf8");
      return state === "first" ? onFirst(text) : onProof(text);
    };
  };
}

export const serverMechanisms: Readonly<Record<string, ServerMechanism>> = {
  "SCRAM-SHA-256": scram("sha256", 32),
  "SCRAM-SHA-1": scram("sha1", 20),
  "CRAM-MD5": cramMd5,
  PLAIN: plain,
  LOGIN: login,
};

function verdict(context: ServerContext, username: string, password: string): ServerStep {
  const known = context.password(username);
  if (known === undefined || !same(Buffer.from(known), Buffer.from(password))) return refused;
  return { kind: "accepted", username };
}

function same(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function hmac(digest: string, key: Buffer, message: string): Buffer {
  return createHmac(digest, key).update(message).digest();
}
