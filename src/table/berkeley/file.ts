import { TableError } from "../table.ts";
import { bigEndian, littleEndian, type Numbers } from "./numbers.ts";
import { btreeMagic, checksummed, hashMagic, header, meta, offPageItem, pageType } from "./pages.ts";

/** What the readers of both types of Berkeley DB file do alike: judging the meta page, and gathering items from overflow pages. */
export interface BerkeleyFile {
  readonly bytes: Buffer;
  readonly numbers: Numbers;
  readonly pageSize: number;
  /** How many there are; the file ends with the last one. */
  readonly pages: number;
  readonly kind: FileKind;
}

export interface FileKind {
  readonly name: "hash" | "btree";
  readonly magic: number;
  /** The format versions that can be read, and how a message names them. */
  readonly versions: readonly number[];
  readonly versionWords: string;
  /** The type of the meta page. */
  readonly metaType: number;
}

const names: Readonly<Record<number, string>> = { [hashMagic]: "hash", [btreeMagic]: "btree" };

/** The error for a file that may be half written, or is damaged. */
export const damagedFile = ({ name }: FileKind, what: string): TableError =>
  new TableError("retry", `not a complete Berkeley DB ${name} file: ${what}`);

/**
 * Looks at the meta page, as far as both types have it; byte order goes by the magic number. Throws TableError: "retry"
 * where the file may be half written or is damaged, "config" where it is of a kind that cannot be read here.
 */
export function openFile(bytes: Buffer, kind: FileKind): BerkeleyFile {
  const { name, versions, versionWords, metaType } = kind;
  const damaged = (what: string): TableError => damagedFile(kind, what);
  if (bytes.length < meta.size) throw damaged(bytes.length === 0 ? "empty" : "too short");
  const numbers = numbersOf(bytes, kind);
  const version = numbers.u32(bytes, meta.version);
  if (!versions.includes(version)) {
    throw new TableError("config", `Berkeley DB ${name} file of version ${version}; ${versionWords} can be read`);
  }
  if (bytes[meta.type] !== metaType) throw damaged("bad meta page");
  if (bytes[meta.encryption] !== 0) throw new TableError("config", "encrypted Berkeley DB file");
  if (((bytes[meta.flags] as number) & checksummed) !== 0) {
    throw new TableError("config", "Berkeley DB file with page checksums");
  }
  const pageSize = numbers.u32(bytes, meta.pageSize);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0) throw damaged("bad page size");
  const pages = bytes.length / pageSize;
  if (!Number.isInteger(pages) || numbers.u32(bytes, meta.lastPage) + 1 !== pages) {
    throw damaged("incomplete, or being written");
  }
  return { bytes, numbers, pageSize, pages, kind };
}

function numbersOf(bytes: Buffer, kind: FileKind): Numbers {
  for (const numbers of [littleEndian, bigEndian]) {
    const found = numbers.u32(bytes, meta.magic);
    if (found === kind.magic) return numbers;
    if (names[found]) throw new TableError("config", `a Berkeley DB file of type ${names[found]}, not ${kind.name}`);
  }
  throw damagedFile(kind, "bad magic number");
}

/** An item from its chain of overflow pages, of which `at` tells; each page holds at least one byte of it, so the chain ends. */
export function overflowItem({ bytes, numbers, pageSize, pages, kind }: BerkeleyFile, at: number): Buffer {
  const { u16, u32 } = numbers;
  const length = u32(bytes, at + offPageItem.length);
  if (length > bytes.length) throw damagedFile(kind, "a length beyond the file's");
  const item = Buffer.allocUnsafe(length);
  let done = 0;
  for (let page = u32(bytes, at + offPageItem.page); done < length; ) {
    const base = page * pageSize;
    const there = page > 0 && page < pages && bytes[base + header.type] === pageType.overflow;
    if (!there || u32(bytes, base + header.pageNumber) !== page) throw damagedFile(kind, "an overflow page is missing");
    const part = u16(bytes, base + header.offset);
    if (part === 0 || part > pageSize - header.size || part > length - done) {
      throw damagedFile(kind, "an overflow page of the wrong length");
    }
    bytes.copy(item, done, base + header.size, base + header.size + part);
    done += part;
    page = u32(bytes, base + header.next);
  }
  return item;
}
