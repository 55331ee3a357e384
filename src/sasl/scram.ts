import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { type ClientMechanism, type SaslContext, SaslError, type SaslSession, scramIterations } from "./mechanism.ts";
import { prepared } from "./saslprep.ts";

/**
 * SCRAM (RFC 5802; RFC 7677 for SHA-256), without channel binding.
 *
 *   client-first  n,,n=user,r=nonce             with AUTH
 *   server-first  r=nonce+more,s=salt,i=rounds  334; answered with the proof
 *   server-final  v=signature                   334; answered with nothing
 *
 * Both sides prove that they know the password. finish() fails until the
 * server's signature was seen and is right: a server that only pretends to
 * know us is not believed. One that asks for too few rounds is not answered,
 * since the proof would let it guess the password cheaply.
 */
function scram(name: string, digest: "sha1" | "sha256", length_bytes: number): ClientMechanism {
  return {
    name,
    properties: new Set(["noplaintext", "noactive", "noanonymous", "mutual_auth"]),
    start: (context) => start(context, digest, length_bytes),
  };
}

export const scramSha1: ClientMechanism = scram("SCRAM-SHA-1", "sha1", 20);
export const scramSha256: ClientMechanism = scram("SCRAM-SHA-256", "sha256", 32);

/** Without channel binding and without an authorization identity (RFC 5802 section 7, gs2-header). */
const gs2Header = "n,,";

function start(context: SaslContext, digest: string, length_bytes: number): SaslSession {
  if (!context.username) throw new SaslError("the user name is empty");
  const username = prepared(context.username, "user name").replaceAll("=", "=3D").replaceAll(",", "=2C");
  const password = Buffer.from(prepared(context.password, "password"));
  const nonce = context.random(18).toString("base64");
  const clientFirst = `n=${username},r=${nonce}`;
  let signature: Buffer | undefined;
  let state: "first" | "deriving" | "final" | "proved" = "first";

  async function prove(challenge: string): Promise<Buffer> {
    const { salt, iterations, combined } = serverFirst(challenge, nonce, context);
    const salted = await context.crypto.pbkdf2(password, salt, iterations, length_bytes, digest);
    const withoutProof = `c=${Buffer.from(gs2Header).toString("base64")},r=${combined}`;
    const message = `${clientFirst},${challenge},${withoutProof}`;
    const clientKey = hmac(digest, salted, "Client Key");
    const storedKey = createHash(digest).update(clientKey).digest();
    const proof = xor(clientKey, hmac(digest, storedKey, message));
    signature = hmac(digest, hmac(digest, salted, "Server Key"), message);
    state = "final";
    return Buffer.from(`${withoutProof},p=${proof.toString("base64")}`);
  }

  return {
    initialResponse: Buffer.from(gs2Header + clientFirst),

    step(challenge) {
      if (state === "first") {
        state = "deriving";
        return prove(challenge.toString("utf8"));
      }
      if (state !== "final" || !signature) throw new SaslError("the server sent more than the mechanism has");
      checkFinal(challenge.toString("utf8"), signature);
      state = "proved";
      return Buffer.alloc(0);
    },

    finish() {
      if (state !== "proved") throw new SaslError("the server has not proved that it knows the password");
    },
  };
}

interface ServerFirst {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly combined: string;
}

function serverFirst(challenge: string, nonce: string, context: SaslContext): ServerFirst {
  if (challenge.startsWith("m=")) throw new SaslError("the server asks for an extension that we do not know");
  const [, combined, salt64, rounds] =
    /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})(?:,.*)?$/s.exec(challenge) ?? [];
  if (combined === undefined || salt64 === undefined) throw new SaslError("the server's first message is malformed");
  if (!combined.startsWith(nonce) || combined.length === nonce.length) {
    throw new SaslError("the server's nonce does not begin with ours, or adds nothing to it");
  }
  const iterations = Number(rounds);
  const { least, most } = context.iterations ?? scramIterations;
  if (iterations < least || iterations > most) {
    throw new SaslError(`the server asks for ${iterations} iterations, and ${least} to ${most} are allowed`);
  }
  return { salt: Buffer.from(salt64, "base64"), iterations, combined };
}

function checkFinal(message: string, signature: Buffer): void {
  const [, error] = /^e=([a-z-]{1,64})/.exec(message) ?? [];
  if (error !== undefined) throw new SaslError(`the server reports: ${error}`);
  const [, signature64] = /^v=([A-Za-z0-9+/]+={0,2})(?:,|$)/.exec(message) ?? [];
  if (signature64 === undefined) throw new SaslError("the server's final message is malformed");
  const theirs = Buffer.from(signature64, "base64");
  if (theirs.length !== signature.length || !timingSafeEqual(theirs, signature)) {
    throw new SaslError("the server's signature is wrong: it does not know the password");
  }
}

function hmac(digest: string, key: Buffer, message: string): Buffer {
  return createHmac(digest, key).update(message).digest();
}

function xor(left: Buffer, right: Buffer): Buffer {
  const result = Buffer.from(left);
  for (let index = 0; index < result.length; index++) result[index] = (left[index] ?? 0) ^ (right[index] ?? 0);
  return result;
}
