import { readFileSync } from "node:fs";
import { children } from "../../test/peers/postern.ts";

/** sysconf(_SC_CLK_TCK), which is 100 on every Linux that Node runs on. */
const ticks_per_s = 100;

/**
 * Seconds of user and system time that a process, its children and theirs have taken so far, those that have ended
 * and been collected included. Differences of two such figures are what a run has cost.
 */
export function cpuTime_s(pid: number): number {
  return family(pid).reduce((sum, each) => sum + ticksOf(each), 0) / ticks_per_s;
}

/** A process and all that descend from it. */
export function family(pid: number): number[] {
  return [pid, ...children(pid).flatMap(family)];
}

function ticksOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which two are cut off.
    return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  } catch {
    return 0;
  }
}
