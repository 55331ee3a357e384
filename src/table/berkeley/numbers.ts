/** Numbers in the byte order of the machine that wrote a file. */
export interface Numbers {
  u16(bytes: Buffer, at: number): number;
  u32(bytes: Buffer, at: number): number;
}

const b = (bytes: Buffer, at: number): number => bytes[at] as number;

export const littleEndian: Numbers = {
  u16: (bytes, at) => b(bytes, at) | (b(bytes, at + 1) << 8),
  u32: (bytes, at) => bytes.readUInt32LE(at),
};

export const bigEndian: Numbers = {
  u16: (bytes, at) => (b(bytes, at) << 8) | b(bytes, at + 1),
  u32: (bytes, at) => bytes.readUInt32BE(at),
};
