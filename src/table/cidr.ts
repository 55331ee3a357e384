import { addressBytes } from "../rfc5321/ip.ts";
import { trimmed } from "./braces.ts";
import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import { blockEnds, type Rule, ruleFiles, ruleLines } from "./rule-source.ts";
import type { TableContext } from "./table.ts";

/**
 * cidr: network addresses to values, the first match counts (cidr_table(5)):
 * `network/length value`, `!` to negate, IF network … ENDIF. A key that is no
 * numeric address has no entry. A rule with an error is reported and left out, as in Postfix.
 */
export const cidr: ByteTableType = {
  name: "cidr",
  patterns: true,
  files: ruleFiles,
  open: async (name, context) => textTable(await openCidr(name, context, usualBytes), `cidr:${name}`, context),
  openBytes: openCidr,
};

interface Network {
  readonly base: Uint8Array;
  readonly bits: number;
  readonly positive: boolean;
}

interface CidrRule extends Rule {
  readonly network?: Network;
  readonly value: Buffer;
  readonly line: number;
}

async function openCidr(name: string, context: TableContext, { convert }: ByteOptions): Promise<ByteTable> {
  const rules: CidrRule[] = [];
  const unconverted: { readonly index: number; readonly where: string }[] = [];
  let nesting = 0;
  await ruleLines("cidr", name, context, (bytes, line) => {
    const where = `cidr map ${name}, line ${line}`;
    const rule = parseRule(bytes.toString("latin1"), line, nesting);
    if (typeof rule === "string") return context.warn(`${where}: ${rule}: skipping this rule`);
    if (rule.kind === "if") nesting++;
    else if (rule.kind === "endif") nesting--;
    else unconverted.push({ index: rules.length, where });
    rules.push(rule);
  });
  if (convert) await convertValues(rules, unconverted, convert);
  const ends = blockEnds(rules, (index) =>
    context.warn(`cidr map ${name}, line ${rules[index]?.line}: IF has no matching ENDIF`),
  );
  return { patterns: true, find: (key) => search(rules, ends, addressBytes(key.toString("latin1"))) };
}

async function convertValues(
  rules: CidrRule[],
  places: readonly { readonly index: number; readonly where: string }[],
  convert: NonNullable<ByteOptions["convert"]>,
): Promise<void> {
  for (const { index, where } of places) {
    const rule = rules[index] as CidrRule;
    const value = await convert(rule.value, where);
    rules[index] = value ? { ...rule, value } : { kind: "match", value: rule.value, line: rule.line };
  }
}

function search(rules: readonly CidrRule[], ends: readonly number[], address?: Uint8Array): Buffer | undefined {
  if (!address) return undefined;
  for (let index = 0; index < rules.length; ) {
    const { kind, network, value } = rules[index] as CidrRule;
    const holds = network !== undefined && matches(network, address);
    if (kind === "match" && holds) return value;
    index = kind === "if" && !holds ? (ends[index] as number) : index + 1;
  }
  return undefined;
}

/** A network of the other family neither matches nor, negated, matches. */
function matches({ base, bits, positive }: Network, address: Uint8Array): boolean {
  if (base.length !== address.length) return false;
  return isWithin(base, bits, address) === positive;
}

function isWithin(base: Uint8Array, bits: number, address: Uint8Array): boolean {
  const whole = bits >> 3;
  for (let index = 0; index < whole; index++) if (base[index] !== address[index]) return false;
  const rest = bits & 7;
  return rest === 0 || ((base[whole] ?? 0) ^ (address[whole] ?? 0)) >> (8 - rest) === 0;
}

/** The rule, or what is wrong with it. */
function parseRule(text: string, line: number, nesting: number): CidrRule | string {
  const word = /^[A-Za-z0-9]*/.exec(text)?.[0].toUpperCase();
  const noValue = Buffer.alloc(0);
  if (word === "ENDIF") {
    if (trimmed(text.slice(5)) !== "") return "garbage after ENDIF";
    return nesting === 0 ? "ENDIF without IF" : { kind: "endif", value: noValue, line };
  }
  const [, marks = "", rest = ""] = /^([!\s]*)(.*)$/s.exec(word === "IF" ? text.slice(2) : text) ?? [];
  const positive = (marks.split("!").length - 1) % 2 === 0;
  if (rest === "") return "no address pattern";
  const pattern = word === "IF" ? trimmed(rest) : (/^\S+/.exec(rest)?.[0] ?? "");
  const network = parsePattern(pattern, positive);
  if (typeof network === "string") return network;
  if (word === "IF") return { kind: "if", network, value: noValue, line };
  const value = trimmed(rest.slice(pattern.length));
  return value === "" ? "no lookup result" : { kind: "match", network, value: Buffer.from(value, "latin1"), line };
}

/** `192.0.2.0/24`, `[2001:db8::]/32`, `[2001:db8::/32]` or an address; or what is wrong, in Postfix's words. */
function parsePattern(pattern: string, positive: boolean): Network | string {
  let text = pattern;
  if (pattern.startsWith("[")) {
    const end = pattern.indexOf("]");
    if (end < 0) return `missing ']' character after "${pattern}"`;
    const behind = pattern.slice(end + 1);
    const inside = pattern.slice(1, end);
    if (behind !== "" && !behind.startsWith("/")) return `garbage after "[${inside}]"`;
    text = inside + behind;
  }
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const base = addressBytes(address);
  if (slash < 0) return base ? { base, bits: base.length * 8, positive } : `bad address pattern: "${address}"`;
  const mask = text.slice(slash + 1);
  if (!/^\d+$/.test(mask)) return `bad mask value in "${text}"`;
  const bits = Number(mask);
  if (bits > (address.includes(":") ? 128 : 32)) return `bad mask length in "${text}"`;
  if (!base) return `bad network value in "${text}"`;
  const network = masked(base, bits);
  if (network.some((byte, index) => byte !== base[index])) {
    const better = `${shown(network)}/${bits}`;
    return `non-null host address bits in "${text}", perhaps you should use "${better}" instead`;
  }
  return { base, bits, positive };
}

const masked = (base: Uint8Array, bits: number): Uint8Array =>
  base.map((byte, index) => byte & (0xff << Math.min(Math.max(8 - (bits - index * 8), 0), 8)));

/** As inet_ntop(3) writes it. */
function shown(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((((address[at] ?? 0) << 8) | (address[at + 1] ?? 0)).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
