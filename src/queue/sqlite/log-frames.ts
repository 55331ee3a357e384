import type { OpenFile } from "../../runtime/files.ts";

/**
 * SQLite's write-ahead log, read without SQLite (https://sqlite.org/fileformat2.html, section 4): a header of 32 bytes, then
 * frames, each a header of 24 bytes and a page. A frame's checksum goes on from that of the frame before. SQLite itself
 * stops silently at the first frame that is not right, and forgets all that follows; here it is told what that means:
 *
 *   whole     there is nothing behind, or frames of an earlier round of the log
 *   torn      the last transaction is not whole: it had not been synced when the power failed, and nobody was told 250
 *             for it. (Or it was, and the disk has damaged it: the log cannot tell.)
 *   damaged   more was written behind it, which happens only after a sync: what is wrong there had been right
 */
export interface LogContent {
  readonly verdict: "whole" | "torn" | "damaged";
  /** In words, for the log. "" when whole. */
  readonly what: string;
  /** Where the newest committed image of each page begins in the file. Of a damaged log everything that may be used. */
  readonly pages: ReadonlyMap<number, number>;
  /** As the log says; undefined where it does not. */
  readonly pageSize_bytes: number | undefined;
  /** The header is not right: SQLite takes nothing of this log. It may have been emptied into the file just before. */
  readonly headless: boolean;
}

const header_bytes = 32;
const frameHeader_bytes = 24;
const version = 3007000;
/** How much is read at once, about. */
const piece_bytes = 1024 * 1024;

export const emptyLog: LogContent = {
  verdict: "whole",
  what: "",
  pages: new Map(),
  pageSize_bytes: undefined,
  headless: false,
};

interface Frame {
  readonly page: number;
  /** Pages of the file after the transaction that ends here; 0 where none ends. */
  readonly commit: number;
  /** Its salts are those of the log's present round. */
  readonly valid: boolean;
  /** It belongs to the present round, or to none, right or not. */
  readonly present: boolean;
}

/** Reads a whole log. `index` is the file `-shm` beside it, where there is one. */
export async function readLog(file: OpenFile, index: Buffer | undefined): Promise<LogContent> {
  const { size } = await file.facts();
  const header = Buffer.alloc(header_bytes);
  if ((await file.read(header, 0)) < header_bytes) return size > 0 ? torn("its header is not whole") : missing(index);
  const headless = !isHeader(header);
  const pageSize_bytes = pageSizeOf(header);
  const frames = await readFrames(file, header, pageSize_bytes, size, headless);
  return judge(frames, { pageSize_bytes, headless, known: headless ? 0 : framesKnown(index, header) });
}

function torn(what: string): LogContent {
  return { ...emptyLog, verdict: "torn", what: `the log ends in a batch that is not whole: ${what}` };
}

/** A log that is empty, or not there, though its index knows of frames that were not in the file yet. */
export function missing(index: Buffer | undefined): LogContent {
  if (!isIndex(index)) return emptyLog;
  const [frames, moved] = [index.readUInt32LE(16), index.length >= 100 ? index.readUInt32LE(96) : 0];
  return frames > moved ? torn(`${frames - moved} pages are not there`) : emptyLog;
}

function isHeader(header: Buffer): boolean {
  if (![0x377f0682, 0x377f0683].includes(header.readUInt32BE(0)) || header.readUInt32BE(4) !== version) return false;
  const sum = checksum([0, 0], header.subarray(0, 24), isBigEndian(header));
  return sum[0] === header.readUInt32BE(24) && sum[1] === header.readUInt32BE(28);
}

const isBigEndian = (header: Buffer): boolean => header.readUInt32BE(0) === 0x377f0683;

function pageSizeOf(header: Buffer): number {
  const size = header.readUInt32BE(8);
  return size >= 512 && size <= 65_536 && (size & (size - 1)) === 0 ? size : 16_384;
}

type Sum = [number, number];

/** SQLite's own: two sums over pairs of words. */
function checksum([a, b]: Readonly<Sum>, bytes: Buffer, bigEndian: boolean): Sum {
  let [s0, s1] = [a | 0, b | 0];
  for (let at = 0; at < bytes.length; at += 8) {
    const [first, second] = bigEndian
      ? [bytes.readInt32BE(at), bytes.readInt32BE(at + 4)]
      : [bytes.readInt32LE(at), bytes.readInt32LE(at + 4)];
    s0 = (s0 + first + s1) | 0;
    s1 = (s1 + second + s0) | 0;
  }
  return [s0 >>> 0, s1 >>> 0];
}

async function readFrames(
  file: OpenFile,
  header: Buffer,
  pageSize: number,
  size: number,
  headless: boolean,
): Promise<Frame[]> {
  const frame_bytes = frameHeader_bytes + pageSize;
  const perPiece = Math.max(1, Math.floor(piece_bytes / frame_bytes));
  const piece = Buffer.alloc(perPiece * frame_bytes);
  const frames: Frame[] = [];
  const bigEndian = isBigEndian(header);
  const salts = headless ? await commonSalts(file, size, frame_bytes) : header.subarray(16, 24);
  let before: Sum = [header.readUInt32BE(24), header.readUInt32BE(28)];
  for (let at = header_bytes; at + frame_bytes <= size; at += piece.length) {
    const read = await file.read(piece, at).catch(() => 0);
    for (let start = 0; start + frame_bytes <= read; start += frame_bytes) {
      const frame = piece.subarray(start, start + frame_bytes);
      const stored: Sum = [frame.readUInt32BE(16), frame.readUInt32BE(20)];
      const sum = checksum(
        checksum(before, frame.subarray(0, 8), bigEndian),
        frame.subarray(frameHeader_bytes),
        bigEndian,
      );
      const valid = frame.subarray(8, 16).equals(salts) && sum[0] === stored[0] && sum[1] === stored[1];
      const ours = [8, 12].some((salt) => frame.readUInt32BE(salt) === salts.readUInt32BE(salt - 8));
      const blank = frame.subarray(0, frameHeader_bytes).every((byte) => byte === 0);
      const [page, commit] = [frame.readUInt32BE(0), frame.readUInt32BE(4)];
      frames.push({ page, commit, valid, present: ours || blank });
      before = stored;
    }
  }
  return frames;
}

/** The salts that most frames have, where the header does not tell. */
async function commonSalts(file: OpenFile, size: number, frame_bytes: number): Promise<Buffer> {
  const counts = new Map<string, number>();
  const salts = Buffer.alloc(8);
  for (let at = header_bytes; at + frame_bytes <= size; at += frame_bytes) {
    await file.read(salts, at + 8).catch(() => 0);
    const key = salts.toString("hex");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const [most] = [...counts].sort(([, one], [, other]) => other - one);
  return Buffer.from(most?.[0] ?? "00".repeat(8), "hex");
}

/** Frames that the index beside a log says were committed, if it is of this round of it; 0 where it says nothing. */
function framesKnown(index: Buffer | undefined, header: Buffer): number {
  if (!isIndex(index) || !index.subarray(32, 40).equals(header.subarray(16, 24))) return 0;
  return index.readUInt32LE(16);
}

/** Its header is there twice, and is written only after what it tells of. */
const isIndex = (index: Buffer | undefined): index is Buffer =>
  index !== undefined &&
  index.length >= 96 &&
  index.readUInt32LE(0) === version &&
  index[12] === 1 &&
  index.subarray(0, 48).equals(index.subarray(48, 96));

function judge(
  frames: readonly Frame[],
  { pageSize_bytes, headless, known }: { pageSize_bytes: number; headless: boolean; known: number },
): LogContent {
  const found = headless ? 0 : frames.findIndex(({ valid }) => !valid);
  const whole = found === -1 ? frames.length : found;
  const tail = frames.slice(whole);
  const written = tail.findLastIndex(({ valid, present }) => valid || present);
  const committed = tail.findIndex(({ valid, present, commit }) => (valid || present) && commit !== 0);
  const rest = { pageSize_bytes, headless };
  const upTo = lastCommit(frames.slice(0, whole));
  if (known > upTo)
    return damaged(frames, rest, `${known} pages of it had been written, and ${upTo} of them are whole`);
  if (headless && tail.some(({ valid }) => valid)) return damaged(frames, rest, "its header is not right");
  if (committed !== -1 && written > committed)
    return damaged(frames, rest, `page ${whole + 1} of it is not right, and more was written behind that`);
  const pages = images(frames.slice(0, upTo), pageSize_bytes, () => true);
  if (written === -1 || headless) return { ...rest, verdict: "whole", what: "", pages };
  return { ...rest, ...torn(`page ${whole + 1} of it is not right`), pages, pageSize_bytes };
}

function damaged(
  frames: readonly Frame[],
  rest: { pageSize_bytes: number; headless: boolean },
  what: string,
): LogContent {
  // What is wrong with a frame may be its page's number.
  const most = frames.reduce(
    (known, { valid, commit, page }) => Math.max(known, valid ? Math.max(commit, page) : 0),
    1,
  );
  const usable = ({ valid, present, page }: Frame, at: number): boolean =>
    valid || (present && page > 0 && page <= most && frames[at + 1]?.valid !== false);
  const last = frames.findLastIndex((frame, at) => frame.commit !== 0 && usable(frame, at));
  const pages = images(frames.slice(0, last + 1), rest.pageSize_bytes, usable);
  return { ...rest, verdict: "damaged", what: `the log is damaged: ${what}`, pages };
}

const lastCommit = (frames: readonly Frame[]): number => frames.findLastIndex(({ commit }) => commit !== 0) + 1;

function images(
  frames: readonly Frame[],
  pageSize: number,
  usable: (frame: Frame, at: number) => boolean,
): Map<number, number> {
  const pages = new Map<number, number>();
  for (const [at, frame] of frames.entries()) {
    if (usable(frame, at))
      pages.set(frame.page, header_bytes + at * (frameHeader_bytes + pageSize) + frameHeader_bytes);
  }
  return pages;
}
