import { crc32 } from "node:zlib";

/**
 * Checksums (CRC-32 as in RFC 1952) of envelopes and chunks. Each begins from
 * what the bytes belong to, so that whole rows that change places are noticed too.
 */
export const envelopeCrc = (id: number, envelope: Uint8Array): number => crc32(envelope, id >>> 0);

export const chunkCrc = (body: number, seq: number, data: Uint8Array): number =>
  crc32(data, (body + seq * 0x9e3779b1) >>> 0);
