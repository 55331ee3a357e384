export interface Option {
  readonly letter: string;
  /** What follows a letter that takes a value; "" for one that takes none. */
  readonly value: string;
}

export interface Parsed {
  readonly options: readonly Option[];
  readonly operands: readonly string[];
  /** Set when an option is unknown or lacks its value; what came before is in `options`. */
  readonly problem: string | undefined;
}

/**
 * Options as getopt(3) reads them: `spec` lists the letters, ":" behind those
 * that take a value; they end at "--" or the first operand (or go on behind
 * operands with `permute`, as GNU's does).
 */
export function getopt(args: readonly string[], spec: string, permute = false): Parsed {
  const options: Option[] = [];
  const operands: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg === "--") {
      operands.push(...args.slice(index + 1));
      break;
    }
    if (arg.length < 2 || arg[0] !== "-") {
      if (!permute) return { options, operands: [...operands, ...args.slice(index)], problem: undefined };
      operands.push(arg);
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const letter = arg[at] ?? "";
      const known = letter === ":" ? -1 : spec.indexOf(letter);
      if (known < 0) return { options, operands, problem: `invalid option -- '${letter}'` };
      if (spec[known + 1] !== ":") {
        options.push({ letter, value: "" });
        continue;
      }
      const attached = arg.slice(at + 1);
      const value = attached || args[++index];
      if (value === undefined) return { options, operands, problem: `option requires an argument -- '${letter}'` };
      options.push({ letter, value });
      break;
    }
  }
  return { options, operands, problem: undefined };
}
