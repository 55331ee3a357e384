import { realRuntime } from "../runtime/real.ts";
import type { CommandIo } from "./io.ts";

/** A command's surroundings in a test: what it reads is given, what it writes is kept. */
export interface TestIo extends CommandIo {
  readonly written: () => { readonly out: Buffer; readonly err: string };
}

export interface TestIoOptions extends Partial<Omit<CommandIo, "stdin" | "out" | "err" | "flush">> {
  /** Pieces of standard input; without it, reading fails. */
  readonly input?: readonly (string | Uint8Array)[];
}

export function testIo({ input, ...options }: TestIoOptions = {}): TestIo {
  const out: Buffer[] = [];
  let err = "";
  return {
    runtime: realRuntime(),
    env: {},
    args0: "postern",
    launch: [],
    directory: "/nonexistent",
    ...options,
    stdin: { [Symbol.asyncIterator]: () => pieces(input) },
    out: (text) => void out.push(Buffer.from(text as string)),
    flush() {},
    err(text) {
      err += text;
    },
    written: () => ({ out: Buffer.concat(out), err }),
  };
}

async function* pieces(input: readonly (string | Uint8Array)[] | undefined): AsyncGenerator<Buffer> {
  if (!input) throw new Error("there is nothing to read");
  for (const piece of input) yield Buffer.from(piece as string);
}
