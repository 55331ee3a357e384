/** Colours for a terminal: none where output goes elsewhere, or NO_COLOR is set and not empty (no-color.org). */
import type { CommandIo } from "./io.ts";

export interface Paint {
  readonly bad: (text: string) => string;
  readonly doubtful: (text: string) => string;
  readonly good: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
}

const plain = (text: string): string => text;
export const noPaint: Paint = { bad: plain, doubtful: plain, good: plain, strong: plain, faint: plain };

const sequence =
  (code: string) =>
  (text: string): string =>
    `\x1b[${code}m${text}\x1b[0m`;

const paint: Paint = {
  bad: sequence("1;31"),
  doubtful: sequence("33"),
  good: sequence("32"),
  strong: sequence("1"),
  faint: sequence("2"),
};

export function paintFor(io: Pick<CommandIo, "columns" | "env">): Paint {
  return io.columns?.out !== undefined && !io.env.NO_COLOR && io.env.TERM !== "dumb" ? paint : noPaint;
}
