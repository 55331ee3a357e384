import { spawnSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";

/** What was measured, and what it comes to. */
export interface Round {
  readonly messages: number;
  readonly seconds: number;
  /** User and system time of all of its processes. */
  readonly cpu_s: number;
  /** The most that all of its processes had at once; undefined where it was not watched. */
  readonly memory_MiB?: number | undefined;
}

export interface Summary {
  readonly messages_per_s: number;
  readonly cpu_s_per_1000: number;
  /** Of all rounds; undefined where it was not watched. */
  readonly peak_MiB: number | undefined;
  readonly rounds: readonly Round[];
}

export function summary(rounds: readonly Round[]): Summary {
  const memory = rounds.flatMap(({ memory_MiB }) => memory_MiB ?? []);
  return {
    messages_per_s: median(rounds.map(({ messages, seconds }) => messages / seconds)),
    cpu_s_per_1000: median(rounds.map(({ messages, cpu_s }) => (cpu_s / messages) * 1000)),
    peak_MiB: memory.length > 0 ? Math.max(...memory) : undefined,
    rounds,
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export interface MachineFacts {
  readonly cores: number;
  readonly processor: string;
  readonly kernel: string;
  readonly fileSystem: string;
  readonly node: string;
  readonly postfix: string;
}

/** What figures from another machine cannot be compared without. */
export function machineFacts(directory: string): MachineFacts {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? "unknown",
    kernel: release(),
    fileSystem: fileSystemOf(directory),
    node: process.versions.node,
    postfix: spawnSync("postconf", ["-dh", "mail_version"], { encoding: "utf8" }).stdout.trim(),
  };
}

/** Of the longest mount point that leads to the directory. */
function fileSystemOf(directory: string): string {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, point = "/none"]) => point === "/" || directory === point || directory.startsWith(`${point}/`))
    .sort(([, one = ""], [, other = ""]) => other.length - one.length);
  const [, point = "/", kind = "unknown"] = mounts[0] ?? [];
  const { bsize, bavail } = statfsSync(point);
  return `${kind} on ${point}, ${Math.round((bsize * bavail) / 1e9)} GB free`;
}

/** Columns as wide as their widest cell; the first two to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  "),
  );
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}
