import type { ByteTable, ByteTableType } from "./byte-table.ts";
import { textTable } from "./byte-table.ts";
import { ServerClient } from "./server-client.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * tcp: a server that is asked `get KEY` and answers `200 VALUE`, `500 …` (absent) or `400 …`
 * (cannot tell), one line each, with %XX for what is not printable (tcp_table(5)): `tcp:host:port`.
 */
export const tcp: ByteTableType = {
  name: "tcp",
  patterns: true,
  files: () => ({}),
  open: async (name, context) => textTable(openTcp(name, context), `tcp:${name}`, context),
  openBytes: async (name, context) => openTcp(name, context),
};

const answerLimit_bytes = 4096;

function openTcp(name: string, { network }: TableContext): ByteTable {
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(name) ?? [];
  const host = bracketed ?? plain;
  if (!host || Number(port) > 65535) throw new TableError("config", `tcp:${name}: need "tcp:host:port"`);
  if (!network) throw new TableError("config", `tcp:${name}: there is no network here`);
  const client = new ServerClient(network, { host, port: Number(port) }, line);
  return {
    patterns: true,
    async find(key) {
      const answer = await client.ask(Buffer.concat([Buffer.from("get "), quoted(key), Buffer.from("\n")]));
      return valueIn(answer.toString("latin1"));
    },
    close: () => client.close(),
  };
}

/** An answer is a line. */
export function line(bytes: Buffer): { answer: Buffer; length: number } | undefined {
  const end = bytes.indexOf(0x0a);
  if (end > answerLimit_bytes || (end < 0 && bytes.length > answerLimit_bytes)) {
    throw new Error(`the answer is longer than ${answerLimit_bytes} bytes`);
  }
  return end < 0 ? undefined : { answer: bytes.subarray(0, end), length: end + 1 };
}

/** Throws TableError where the server cannot tell. */
export function valueIn(answer: string): Buffer | undefined {
  const [, code = "", text = ""] = /^(\d)\d\d\s((?:[^%]|%[0-9a-f]{2})*)$/is.exec(answer) ?? [];
  if (code === "5") return undefined;
  if (code === "2") return unquoted(text);
  throw new TableError("retry", `query error: the server says: ${answer.slice(0, 100)}`);
}

function quoted(key: Buffer): Buffer {
  let text = "";
  for (const byte of key) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x25;
    text += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return Buffer.from(text);
}

const unquoted = (text: string): Buffer =>
  Buffer.from(
    text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
