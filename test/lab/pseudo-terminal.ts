import { spawn } from "node:child_process";
import { join } from "node:path";
import { until } from "./until.ts";

/** A command on a pseudo-terminal (pseudo-terminal.py, in Python, since Node.js makes none). */
export interface OnTerminal {
  /** What is on the screen, as far as the command draws it anew each time: the lines of the last whole picture. */
  screen(): string[];
  /** Everything that was written, as it came. */
  written(): string;
  /** Waits until the screen matches. */
  shows(pattern: RegExp): Promise<void>;
  type(keys: string): void;
  resize(rows: number, columns: number): void;
  signal(number: number): void;
  /** Ends it at once, whatever it does. */
  end(): void;
  /** The exit status, and whether the terminal's settings are as they were. */
  readonly ended: Promise<{ readonly status: number; readonly same: boolean }>;
}

export function onTerminal(
  [command = "", ...args]: readonly string[],
  {
    rows = 24,
    columns = 80,
    env = {},
  }: { rows?: number; columns?: number; env?: Readonly<Record<string, string>> } = {},
): OnTerminal {
  const given = [join(import.meta.dirname, "pseudo-terminal.py"), String(rows), String(columns), command, ...args];
  const child = spawn("python3", given, {
    env: { ...process.env, TERM: "xterm", NO_COLOR: "", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const { promise: ended, resolve } = Promise.withResolvers<{ status: number; same: boolean }>();
  let events = "";
  let written = Buffer.alloc(0);
  child.stdout.on("data", (bytes: Buffer) => {
    events += bytes.toString();
    const lines = events.split("\n");
    events = lines.pop() ?? "";
    for (const line of lines) {
      const event = JSON.parse(line) as { bytes?: string; status?: number; same?: boolean };
      if (event.bytes !== undefined) written = Buffer.concat([written, Buffer.from(event.bytes, "base64")]);
      else resolve({ status: event.status ?? -1, same: event.same ?? false });
    }
  });
  child.once("exit", () => resolve({ status: -1, same: false }));
  child.stdin.on("error", () => {});
  const order = (what: object): void => void child.stdin.write(`${JSON.stringify(what)}\n`);
  const screen = (): string[] => {
    const [, ...pictures] = written.toString().split("\x1b[H");
    const whole = pictures.findLast((each) => each.includes("\x1b[J")) ?? "";
    return (whole.split("\x1b[J")[0] ?? "").replaceAll(/\x1b\[[0-9;?]*[a-zA-Z]/g, "").split(/\r*\n/);
  };
  return {
    screen,
    written: () => written.toString(),
    shows: async (pattern) => {
      await until(`${pattern} on the screen`, () => pattern.test(screen().join("\n")), {
        about: () => screen().join("\n"),
      });
    },
    type: (keys) => order({ keys }),
    resize: (to_rows, to_columns) => order({ resize: [to_rows, to_columns] }),
    signal: (number) => order({ signal: number }),
    end: () => void child.kill("SIGKILL"),
    ended,
  };
}
