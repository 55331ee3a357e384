import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";

/**
 * What a process did to the files of one directory, in order, with all bytes, and what it said on standard output in between.
 *
 * The clock is the line of strace's output. strace prints a call's entry before it lets the call go on, and its end after it has
 * ended: what was written is in the kernel at `end`, and may be there from `begin` on.
 */
export type Step = { readonly begin: number; readonly end: number } & (
  | { readonly kind: "write"; readonly name: string; readonly at: number; readonly data: Buffer }
  | { readonly kind: "truncate"; readonly name: string; readonly size: number }
  | { readonly kind: "sync"; readonly name: string; readonly ok: boolean }
  | { readonly kind: "syncDirectory"; readonly ok: boolean }
  | { readonly kind: "create"; readonly name: string }
  | { readonly kind: "unlink"; readonly name: string }
  | { readonly kind: "said"; readonly text: string }
);

export interface RecordOptions {
  /** For each of 8 clients. */
  readonly messages: number;
  /** The queue with another setting than its own: "OFF", "NORMAL". */
  readonly synchronous?: string;
  /** This sync of the queue's thread fails; its successor's, too, should it come that far. */
  readonly failingSync?: number;
}

/** A record takes two seconds; one that hangs is an error, and no wait. */
const limit_ms = 60_000;

const calls =
  "openat,pwrite64,pwritev,pwritev2,write,writev,ftruncate,truncate,fallocate,fdatasync,fsync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat";

/** Runs a store under load (power-cut.child.ts) below strace, from an empty directory to its end. */
export async function recordDisk({ messages, synchronous, failingSync }: RecordOptions): Promise<Step[]> {
  const place = await realpath(await mkdtemp(join(tmpdir(), "postern-record-")));
  try {
    const directory = join(place, "queue");
    await mkdir(directory);
    const trace = join(place, "trace");
    const preload = new URL("./synchronous.preload.ts", import.meta.url).href;
    const program = new URL("./power-cut.child.ts", import.meta.url).pathname;
    const child = spawn(
      "strace",
      [
        ...["-f", "-y", "-xx", "-s", "100000000", "-o", trace, "-e", `trace=${calls}`, "-e", "signal=none"],
        ...(failingSync === undefined ? [] : ["-e", `inject=fsync,fdatasync:error=EIO:when=${failingSync}`]),
        ...[process.execPath, ...(synchronous === undefined ? [] : ["--import", preload])],
        ...[program, directory, String(messages)],
      ],
      { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, POSTERN_TEST_SYNCHRONOUS: synchronous } },
    );
    const limit = setTimeout(() => child.kill("SIGKILL"), limit_ms);
    const [status] = await once(child, "exit");
    clearTimeout(limit);
    if (status !== 0) throw new Error(`the store under load ended with ${status}`);
    return await readDiskTrace(trace, directory);
  } finally {
    await rm(place, { recursive: true });
  }
}

/** What `strace -f -y -xx` wrote, as far as it concerns the directory. Throws for a call that it does not know how to follow. */
export async function readDiskTrace(trace: string, directory: string): Promise<Step[]> {
  const open = new Map<string, { begin: number; text: string }>();
  const steps: Step[] = [];
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(trace, "latin1") })) {
    line++;
    const [, pid = "", resumed, rest = "", call = ""] =
      /^(\d+) +(?:<\.\.\. \w+ (resumed)>(.*)|(\w+\(.*))$/s.exec(text) ?? [];
    if (pid === "") continue;
    if (resumed !== undefined) {
      const begun = open.get(pid);
      open.delete(pid);
      if (begun) steps.push(...stepOf(begun.text + rest, directory, begun.begin, line));
    } else if (call.endsWith(" <unfinished ...>")) open.set(pid, { begin: line, text: call.slice(0, -17) });
    else steps.push(...stepOf(call, directory, line, line));
  }
  // Calls that never ended: they may have done their work.
  for (const { begin, text } of open.values())
    steps.push(...stepOf(`${text}) = ?`, directory, begin, Number.POSITIVE_INFINITY));
  return steps.sort((one, other) => one.begin - other.begin);
}

/** At most one step; none for calls that are not about the directory's files. */
function stepOf(text: string, directory: string, begin: number, end: number): Step[] {
  const name = text.slice(0, text.indexOf("("));
  const ok = !/ = -1 E/.test(text.slice(-120));
  const when = { begin, end };
  if (name === "openat" || name.startsWith("unlink") || name.startsWith("rename")) {
    const path = unhex(/"((?:\\x[0-9a-f]{2})*)"/.exec(text)?.[1] ?? "").toString();
    if (!ok || dirname(path) !== directory || isIndex(path)) return [];
    if (name.startsWith("unlink")) return [{ ...when, kind: "unlink", name: basename(path) }];
    if (name !== "openat" || text.includes("O_TRUNC")) throw new Error(`not followed: ${name} of ${path}`);
    return text.includes("O_CREAT") ? [{ ...when, kind: "create", name: basename(path) }] : [];
  }
  const [, fd, hex = ""] = /^\w+\((\d+)<((?:\\x[0-9a-f]{2})*)>/.exec(text) ?? [];
  const data = (): Buffer => unhex(/"((?:\\x[0-9a-f]{2})*)"/.exec(text)?.[1] ?? "");
  if (name === "write" && fd === "1") return [{ ...when, kind: "said", text: data().toString() }];
  const path = unhex(hex).toString();
  if (path === directory && name === "fsync") return [{ ...when, kind: "syncDirectory", ok }];
  if (dirname(path) !== directory || isIndex(path)) return [];
  const file = { ...when, name: basename(path) };
  if (name === "fsync" || name === "fdatasync") return [{ ...file, kind: "sync", ok }];
  if (!ok) return [];
  if (name === "ftruncate") return [{ ...file, kind: "truncate", size: Number(/, (\d+)\)/.exec(text)?.[1]) }];
  if (name !== "pwrite64") throw new Error(`not followed: ${name} of ${path}`);
  const [, count, at, written] = /, (\d+), (\d+)\) += (\d+|\?)/.exec(text.slice(-120)) ?? [];
  const bytes = data();
  if (bytes.length !== Number(count)) throw new Error(`line ${begin}: ${bytes.length} bytes of ${count} in the record`);
  const done = written === "?" ? bytes.length : Number(written);
  return [{ ...file, kind: "write", at: Number(at), data: bytes.subarray(0, done) }];
}

/** The index of the log is shared memory: it says nothing that the log does not, and is made anew from it. */
const isIndex = (path: string): boolean => path.endsWith("-shm");

const unhex = (text: string): Buffer => Buffer.from(text.replaceAll("\\x", ""), "hex");
