import { pbkdf2 } from "node:crypto";
import { getCiphers } from "node:tls";

/** Derivations that take long enough to belong off the event loop. Plain hashes are pure and are called directly. */
export interface Crypto {
  /** PBKDF2 (RFC 8018 section 5.2), on a thread of the pool. */
  pbkdf2(password: Buffer, salt: Buffer, iterations: number, length_bytes: number, digest: string): Promise<Buffer>;
  readonly tls: TlsLibrary;
}

/** The OpenSSL that does TLS. */
export interface TlsLibrary {
  /** Such as "3.5.8". */
  readonly version: string;
  /** Its cipher suites by OpenSSL's names, in lower case. */
  readonly ciphers: readonly string[];
}

export const realCrypto: Crypto = {
  pbkdf2: (password, salt, iterations, length_bytes, digest) =>
    new Promise((resolve, reject) => {
      pbkdf2(password, salt, iterations, length_bytes, digest, (error, key) => (error ? reject(error) : resolve(key)));
    }),
  tls: {
    version: process.versions.openssl ?? "unknown",
    get ciphers() {
      return getCiphers();
    },
  },
};
