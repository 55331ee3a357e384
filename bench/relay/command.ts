import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** Runs a program to its end, its standard input from a file; the milliseconds that this took. Throws unless it ends with 0. */
export async function command(program: string, args: readonly string[], input = "/dev/null"): Promise<number> {
  const stdin = openSync(input, "r");
  const begun_ms = performance.now();
  try {
    // What goes on in the background would keep a pipe open.
    const child = spawn(program, args, { stdio: [stdin, "ignore", "ignore"] });
    const status = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(code ?? signal));
    });
    if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ended with ${status}`);
    return performance.now() - begun_ms;
  } finally {
    closeSync(stdin);
  }
}
