/**
 * Numeric internet addresses as bytes: 4 for IPv4, 16 for IPv6 (RFC 4291
 * section 2.2). Pure; a zone index ("%eth0") is not part of an address here.
 */

/** The bytes of "192.0.2.1" (4) or "2001:db8::1" (16); undefined for anything else. */
export function addressBytes(text: string): Uint8Array | undefined {
  return text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
}

/** Four decimal numbers, none with a leading zero, which some readers take for octal. */
function ipv4Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  let index = 0;
  let digits = 0;
  let value = 0;
  // Several times for each connection, so without parts and patterns.
  for (let at = 0; at <= text.length; at++) {
    const code = at < text.length ? text.charCodeAt(at) : dot;
    if (code === dot) {
      if (digits === 0 || index > 3) return undefined;
      bytes[index++] = value;
      digits = 0;
      value = 0;
      continue;
    }
    if (code < zero || code > nine || (digits > 0 && value === 0)) return undefined;
    digits++;
    value = value * 10 + code - zero;
    if (value > 255) return undefined;
  }
  return index === 4 ? bytes : undefined;
}

const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;

function ipv6Bytes(text: string): Uint8Array | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const front = groups(halves[0] ?? "", halves.length === 1);
  const back = halves.length === 2 ? groups(halves[1] ?? "", true) : [];
  if (!front || !back) return undefined;
  const missing = 8 - front.length - back.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const bytes = new Uint8Array(16);
  for (const [index, group] of [...front, ...new Array<number>(missing).fill(0), ...back].entries()) {
    bytes[index * 2] = group >> 8;
    bytes[index * 2 + 1] = group & 0xff;
  }
  return bytes;
}

/** The 16-bit groups of one side of "::"; the last may be a dotted IPv4 address. */
function groups(text: string, last: boolean): number[] | undefined {
  if (text === "") return [];
  const found: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (last && index === parts.length - 1 && part.includes(".")) {
      const [a = 0, b = 0, c = 0, d = 0] = ipv4Bytes(part) ?? [-1];
      if (a < 0) return undefined;
      found.push((a << 8) | b, (c << 8) | d);
      continue;
    }
    if (!/^[0-9a-f]{1,4}$/i.test(part)) return undefined;
    found.push(Number.parseInt(part, 16));
  }
  return found;
}

/** "::ffff:192.0.2.1" is how a dual-stack socket shows an IPv4 client: its IPv4 form; anything else is returned as it is. */
export function withoutMapping(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  return mapped ?? address;
}
