import { type Files, readWhole } from "../runtime/files.ts";
import { errorText } from "../table/error-text.ts";

/** All files of one value together. */
const valueLimit_bytes = 64 * 1024 * 1024;

/** The contents of the files that a value names (-F), with a newline between them, in base64; or what is wrong. */
export async function filesInBase64(files: Files, names: string): Promise<Buffer | string> {
  const paths = names.split(/[, \t\r\n]+/).filter((path) => path !== "");
  if (paths.length === 0) return `empty pathname list: >>${names}<<'`;
  const parts: Buffer[] = [];
  for (const path of paths) {
    try {
      const { bytes } = await readWhole(files, path, valueLimit_bytes);
      if (parts.length > 0) parts.push(Buffer.from("\n"));
      parts.push(bytes);
    } catch (error) {
      return `open ${path}: ${errorText(error)}`;
    }
  }
  return Buffer.from(Buffer.concat(parts).toString("base64"));
}

/** Undefined where it is not base64. */
export function fromBase64(value: Buffer): Buffer | undefined {
  const text = value.toString("latin1");
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64");
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}
