import type { ByteTable, ByteTableType } from "./byte-table.ts";
import { textTable } from "./byte-table.ts";
import { ServerClient, serverAddress } from "./server-client.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * socketmap: Sendmail's protocol (socketmap_table(5)): `MAP KEY` as a netstring, answered by `OK value`,
 * `NOTFOUND`, or `TEMP`, `TIMEOUT` or `PERM` (cannot tell). `socketmap:inet:host:port:map`, `socketmap:unix:/path:map`.
 */
export const socketmap: ByteTableType = {
  name: "socketmap",
  patterns: true,
  files: () => ({}),
  open: async (name, context) => textTable(openSocketmap(name, context), `socketmap:${name}`, context),
  openBytes: async (name, context) => openSocketmap(name, context),
};

const answerLimit_bytes = 100_000;

function openSocketmap(name: string, { network }: TableContext): ByteTable {
  const colon = name.lastIndexOf(":");
  if (colon < 0) throw new TableError("config", "socketmap requires server:socketmap argument");
  const address = serverAddress(name.slice(0, colon));
  const map = name.slice(colon + 1);
  if (!address) {
    throw new TableError("config", `socketmap:${name}: need "inet:host:port:map" or "unix:/path:map"`);
  }
  if (!network) throw new TableError("config", `socketmap:${name}: there is no network here`);
  const client = new ServerClient(network, address, netstring);
  return {
    patterns: true,
    async find(key) {
      const question = Buffer.concat([Buffer.from(`${map} `), key]);
      const framed = Buffer.concat([Buffer.from(`${question.length}:`), question, Buffer.from(",")]);
      return valueIn(await client.ask(framed));
    },
    close: () => client.close(),
  };
}

/** An answer is a netstring. */
export function netstring(bytes: Buffer): { answer: Buffer; length: number } | undefined {
  const [head, digits] = /^(\d{0,7})(?::|$)/.exec(bytes.subarray(0, 8).toString("latin1")) ?? [];
  if (head === undefined) throw new Error("the answer is not a netstring");
  if (!head.endsWith(":")) return undefined;
  const size = Number(digits);
  if (digits === "" || size > answerLimit_bytes)
    throw new Error(`the answer is longer than ${answerLimit_bytes} bytes`);
  const end = head.length + size;
  if (bytes.length <= end) return undefined;
  if (bytes[end] !== 0x2c) throw new Error("the answer is not a netstring");
  return { answer: bytes.subarray(head.length, end), length: end + 1 };
}

/** Throws TableError where the server cannot tell. */
export function valueIn(answer: Buffer): Buffer | undefined {
  const space = answer.indexOf(0x20);
  const word = answer.subarray(0, space < 0 ? answer.length : space).toString("latin1");
  if (word === "OK") return space < 0 ? undefined : answer.subarray(space + 1);
  if (word === "NOTFOUND") return undefined;
  const kind = { TEMP: "temporary", TIMEOUT: "timeout", PERM: "permanent" }[word] ?? "unknown";
  const text =
    space < 0
      ? ""
      : `: ${answer
          .subarray(space + 1, space + 201)
          .toString("latin1")
          .trim()}`;
  throw new TableError("retry", `query error: socketmap server ${kind} error${text}`);
}
