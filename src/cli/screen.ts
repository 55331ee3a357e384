/**
 * A terminal as a whole: lines are drawn, keys come one by one, and everything is as it was when it is closed. What was on the terminal
 * stays there: drawing is done on its other screen.
 */
export interface Screen {
  readonly rows: number;
  readonly columns: number;
  /** Each line without colours has to fit. */
  draw(lines: readonly string[]): void;
  /** Names of keys: "up", "down", "pageup", "pagedown", "enter", "back", "interrupt", or the character. */
  onKey(handle: (key: string) => void): void;
  onResize(handle: () => void): void;
  /** There is nobody any more: the terminal was closed. */
  onGone(handle: () => void): void;
  /** May be called more than once. */
  close(): void;
}

const enter = "\x1b[?1049h\x1b[?25l";
const leave = "\x1b[0m\x1b[?25h\x1b[?1049l";

/** undefined where standard input or output is no terminal, or one that cannot move its cursor. */
export function realScreen(
  input: NodeJS.ReadStream,
  output: NodeJS.WriteStream,
  terminal: string | undefined,
): Screen | undefined {
  if (!input.isTTY || !output.isTTY || terminal === undefined || terminal === "" || terminal === "dumb")
    return undefined;
  let closed = false;
  let handleKey = (_key: string): void => {};
  let handleGone = (): void => {};
  const onData = (bytes: Buffer | string): void => {
    for (const key of keysIn(bytes.toString())) handleKey(key);
  };
  const onGone = (): void => handleGone();
  let handleResize = (): void => {};
  const onResize = (): void => handleResize();
  input.setRawMode(true);
  input.on("data", onData);
  input.on("end", onGone);
  input.on("error", onGone);
  output.on("error", onGone);
  output.on("resize", onResize);
  input.resume();
  output.write(enter);
  return {
    get rows() {
      return output.rows || 24;
    },
    get columns() {
      return output.columns || 80;
    },
    draw(lines) {
      if (!closed) output.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
    },
    onKey(handle) {
      handleKey = handle;
    },
    onResize(handle) {
      handleResize = handle;
    },
    onGone(handle) {
      handleGone = handle;
    },
    close() {
      if (closed) return;
      closed = true;
      input.off("data", onData);
      input.off("end", onGone);
      output.off("resize", onResize);
      output.write(leave);
      input.setRawMode(false);
      input.pause();
    },
  };
}

const named: Readonly<Record<string, string>> = {
  "\x1b[A": "up",
  "\x1bOA": "up",
  "\x1b[B": "down",
  "\x1bOB": "down",
  "\x1b[5~": "pageup",
  "\x1b[6~": "pagedown",
  "\r": "enter",
  "\n": "enter",
  "\x1b": "back",
  "\x7f": "back",
  "\b": "back",
  "\x1b[D": "back",
  "\x1bOD": "back",
  "\x1b[C": "enter",
  "\x1bOC": "enter",
  "\x03": "interrupt",
  "\x04": "interrupt",
};

/** What a terminal sends, key by key; sequences that mean nothing here are left out. */
export function keysIn(text: string): string[] {
  const keys: string[] = [];
  for (const [sequence] of text.matchAll(/\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[@-~])|[\s\S]/gu)) {
    const key = named[sequence] ?? (sequence.length === 1 && sequence > " " ? sequence : undefined);
    if (key !== undefined) keys.push(key);
  }
  return keys;
}
