import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { addressBytes } from "../rfc5321/ip.ts";

/**
 * A self-signed certificate (RFC 5280) with a P-256 key, for the practice
 * server: made at its start, with no program but this one. Who trusts it has
 * to be told so; it is its own authority.
 */
export interface OwnCertificate {
  /** PEM, PKCS #8. */
  readonly key: string;
  /** PEM. */
  readonly certificate: string;
}

export interface CertificateRequest {
  /** Host names, the first being the subject too, and numeric addresses. At least one. */
  readonly names: readonly string[];
  readonly notBefore_ms: number;
  readonly days: number;
}

const day_ms = 86_400_000;

const oid = {
  commonName: "550403",
  ecdsaWithSha256: "2a8648ce3d040302",
  subjectKeyIdentifier: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
} as const;

export function makeCertificate({ names, notBefore_ms, days }: CertificateRequest): OwnCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const algorithm = sequence(objectId(oid.ecdsaWithSha256));
  const subject = distinguishedName(names[0] ?? "localhost");
  const validity = sequence(time(notBefore_ms), time(notBefore_ms + days * day_ms));
  const keyId = createHash("sha1").update(spki).digest();
  const serial = createHash("sha256").update(spki).update(String(notBefore_ms)).digest().subarray(0, 16);
  const toBeSigned = sequence(
    tagged(0xa0, integer(Buffer.of(2))),
    integer(serial),
    algorithm,
    subject,
    validity,
    subject,
    spki,
    tagged(0xa3, sequence(...extensions(names, keyId))),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificate: pem(sequence(toBeSigned, algorithm, bitString(signature, 0))),
  };
}

function extensions(names: readonly string[], keyId: Buffer): Buffer[] {
  const alternatives = names.map((name) => {
    const address = addressBytes(name);
    return address ? tagged(0x87, Buffer.from(address)) : tagged(0x82, Buffer.from(name, "latin1"));
  });
  const digitalSignature = 0x80;
  return [
    extension(oid.basicConstraints, true, sequence()),
    extension(oid.keyUsage, true, bitString(Buffer.of(digitalSignature), 7)),
    extension(oid.extKeyUsage, false, sequence(objectId(oid.serverAuth))),
    extension(oid.subjectKeyIdentifier, false, octets(keyId)),
    extension(oid.subjectAltName, false, sequence(...alternatives)),
  ];
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return critical
    ? sequence(objectId(id), tagged(0x01, Buffer.of(0xff)), octets(value))
    : sequence(objectId(id), octets(value));
}

function distinguishedName(commonName: string): Buffer {
  const attribute = sequence(objectId(oid.commonName), tagged(0x0c, Buffer.from(commonName, "utf8")));
  return sequence(tagged(0x31, attribute));
}

/** UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). */
function time(time_ms: number): Buffer {
  const digits = new Date(time_ms)
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return digits < "2050" ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits));
}

/** DER (X.690 section 8): a tag, a length in as few bytes as it needs, the contents. */
function tagged(tag: number, contents: Buffer): Buffer {
  const { length } = contents;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), contents]);
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), contents]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), contents]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, Buffer.concat(parts));
const objectId = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, "hex"));
const octets = (contents: Buffer): Buffer => tagged(0x04, contents);
const bitString = (contents: Buffer, unused: number): Buffer =>
  tagged(0x03, Buffer.concat([Buffer.of(unused), contents]));

/** A positive number of any size: no needless zero in front, and one where the first bit would make it negative. */
function integer(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  return tagged(0x02, (digits[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits);
}

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
