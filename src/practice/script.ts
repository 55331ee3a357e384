/**
 * What a practice server does in place of its ordinary answer, so that a
 * client can be tried against every kind of misbehaviour.
 */
export type ScriptedAction =
  /** These lines as the reply: "550 5.1.1 no", or "250-a\r\n250 b". CRLF is added. */
  | { readonly reply: string }
  /** These bytes exactly, and nothing else. */
  | { readonly raw: Uint8Array | string }
  /** The bytes, if any, and then the connection is cut. */
  | { readonly drop: true; readonly raw?: Uint8Array | string }
  /** The bytes, if any, and then nothing more will ever come. */
  | { readonly hang: true; readonly raw?: Uint8Array | string }
  /** First the pause; then `after`, or the ordinary answer. */
  | { readonly delay_ms: number; readonly after?: ScriptedAction };

/** A moment at which the script is asked. */
export interface ScriptedMoment {
  /** "CONNECT" before the greeting, "DOT" after the message, "RESPONSE" for a line within AUTH; else the command in upper case. */
  readonly verb: string;
  /** What follows the command; the whole line for "RESPONSE". */
  readonly argument: string;
  /** Counts connections from 1, and this verb on this connection from 1. */
  readonly connection: number;
  readonly occurrence: number;
  readonly secured: boolean;
  readonly username: string | undefined;
}

/** undefined: the ordinary answer. */
export type Script = (moment: ScriptedMoment) => ScriptedAction | undefined;

/** A script from a table: the verb to what is done each time; with several, the first for its first time, and so on, the last for the rest. */
export function scriptOf(table: Readonly<Record<string, ScriptedAction | readonly ScriptedAction[]>>): Script {
  return ({ verb, occurrence }) => {
    const entry = table[verb];
    if (entry === undefined || !Array.isArray(entry)) return entry as ScriptedAction | undefined;
    return entry[Math.min(occurrence, entry.length) - 1] as ScriptedAction | undefined;
  };
}
