import { readFileSync } from "node:fs";
import type { RunningPostern } from "../peers/postern.ts";

/** What the kernel says of the relay's process: its memory now, or the most that it ever had. */
export function memory_bytes(postern: RunningPostern, which: "now" | "most"): number {
  const status = readFileSync(`/proc/${postern.relayPid()}/status`, "utf8");
  const [, kilobytes] = new RegExp(`^${which === "now" ? "VmRSS" : "VmHWM"}:\\s+(\\d+) kB`, "m").exec(status) ?? [];
  if (kilobytes === undefined) throw new Error("there is no relay");
  return Number(kilobytes) * 1024;
}

/** How many connections to a port of this machine are established, seen from the side that listens. */
export function sessionsOf(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const established = "01";
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n");
  return lines.filter((line) => {
    const [, , own, , state] = line.split(/\s+/);
    return own?.endsWith(local) && state === established;
  }).length;
}
