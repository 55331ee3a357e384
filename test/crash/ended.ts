import { readdirSync, readFileSync } from "node:fs";

/**
 * Whether a process has ended, collected by its parent or not: all of its threads have. One that is still in
 * the middle of a sync holds all of its files until then.
 */
export function isOver(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const [, state = "Z"] = /\) (\w)/.exec(readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1")) ?? [];
      return state === "Z" || state === "X";
    });
  } catch {
    // It went while we looked: asked again, it has gone, or has not.
    return !exists(pid);
  }
}

function exists(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 0;
  } catch {
    return false;
  }
}
