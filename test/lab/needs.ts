import { spawnSync } from "node:child_process";

/** What a test cannot do without. */
export interface Needs {
  readonly root?: boolean;
  readonly programs?: readonly string[];
}

/**
 * The options of a test, `test(name, needs({ root: true, programs: ["swaks"] }), …)`: it is skipped,
 * and counted so, where something is missing. Where the environment says `CI=true` nothing may be
 * missing: there it throws, so that the file fails.
 */
export function needs({ root = false, programs = [] }: Needs): { readonly skip: string | false } {
  const missing = programs.filter(
    (program) => spawnSync("sh", ["-c", `command -v -- "$1"`, "sh", program]).status !== 0,
  );
  const reasons = [...(root && process.getuid?.() !== 0 ? ["root"] : []), ...missing];
  if (reasons.length === 0) return { skip: false };
  return { skip: lacking(`needs ${reasons.join(", ")}`) };
}

/** Why a test is skipped; with `CI=true` it throws instead, since a peer that could not be had is a failure there. */
export function lacking(reason: string): string {
  if (process.env.CI === "true") throw new Error(`${reason}, and CI=true: here nothing may be missing`);
  return reason;
}
