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

/**
 * Memory of a process and all that descend from it, in MiB. Each page counts once, shared between those that have it
 * (proportional set size, proc(5)), so that many processes of one program can be compared with one.
 */
export function memory_MiB(pid: number): number {
  return family(pid).reduce((sum, each) => sum + proportional_kB(each), 0) / 1024;
}

function proportional_kB(pid: number): number {
  try {
    return Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const look_ms = 200;

/** Looks at its memory until it is stopped, which gives the most that was seen. */
export function watchMemory(pid: number): { stop(): number } {
  let most = memory_MiB(pid);
  const look = (): void => {
    most = Math.max(most, memory_MiB(pid));
  };
  const timer = setInterval(look, look_ms);
  return {
    stop() {
      clearInterval(timer);
      look();
      return most;
    },
  };
}
