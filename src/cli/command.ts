import type { CommandIo } from "./io.ts";

export type Command = (args: readonly string[], io: CommandIo) => Promise<number>;

export interface CommandEntry {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
  /** What --help prints; absent where there are no options. */
  readonly help?: () => Promise<string>;
}
