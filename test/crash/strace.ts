import { spawn } from "node:child_process";

export interface StraceOptions {
  /** Those to be traced, with all their threads and what they start. */
  readonly pids: readonly number[];
  /** Names as strace's `-e trace=` takes them. */
  readonly calls: readonly string[];
  /** Where the trace goes. */
  readonly file: string;
  /** Faults: `fdatasync:error=EIO:when=3` and the like. */
  readonly inject?: readonly string[];
  /** Bytes shown of each buffer. */
  readonly shown_bytes?: number;
}

/** Every sync and write, as the oracle of syncs wants them. */
export const syncCalls = ["pwrite64", "pwritev", "fdatasync", "fsync", "write", "writev", "sendto", "sendmsg"];

/** strace(1) at running processes. Resolves once it is attached to all of them; `detach` lets them go. Needs root. */
export async function attachStrace(options: StraceOptions): Promise<{ detach(): Promise<void> }> {
  const { pids, calls, file, inject = [], shown_bytes = 65_536 } = options;
  const child = spawn(
    "strace",
    [
      ...["-f", "-y", "-s", String(shown_bytes), "-o", file, "-e", `trace=${calls.join(",")}`, "-e", "signal=none"],
      ...inject.flatMap((fault) => ["-e", `inject=${fault}`]),
      ...pids.flatMap((pid) => ["-p", String(pid)]),
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`strace ended: ${said}`)));
    child.stderr.on("data", (bytes: Buffer) => {
      said += bytes.toString();
      const attached = new Set([...said.matchAll(/strace: Process (\d+) attached/g)].map(([, pid]) => Number(pid)));
      if (pids.every((pid) => attached.has(pid))) resolve();
    });
  });
  return {
    async detach() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
