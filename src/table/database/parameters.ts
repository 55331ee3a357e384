import { parseMainCf } from "../../conf/main-cf.ts";
import { type TableContext, TableError } from "../table.ts";

/**
 * The parameters of a table that asks a database: those of the file that its
 * name is, in the form of main.cf but without `$` expansion; or, where the name is
 * no path, NAME_parameter of main.cf. What is wrong with one is a TableError "config" in Postfix's words.
 *
 * The file may hold a password: no message shows a value of a line that could be one.
 */
export class TableParameters {
  readonly name: string;
  readonly #value: (name: string) => string | undefined;

  private constructor(name: string, value: (name: string) => string | undefined) {
    this.name = name;
    this.#value = value;
  }

  static async read(name: string, context: TableContext): Promise<TableParameters> {
    if (!isPath(name)) return new TableParameters(name, (each) => context.parameter?.(`${name}_${each}`));
    const written = await writtenIn(name, context);
    return new TableParameters(name, (each) => written.get(each));
  }

  /** The text, which may be empty unless `required`. */
  text(name: string, absent: string, { required = false }: { readonly required?: boolean } = {}): string {
    const value = this.#value(name) ?? absent;
    if (required && value === "") this.#wrong(`bad string length 0 < 1: ${name} = `);
    return value;
  }

  /** Undefined where it is not there, or is empty. */
  optional(name: string): string | undefined {
    return this.#value(name) || undefined;
  }

  /** The words between white space and commas. */
  words(name: string, absent: string): string[] {
    return this.text(name, absent)
      .split(/[\s,]+/)
      .filter((word) => word !== "");
  }

  number(name: string, absent: number, least = 0): number {
    const value = this.#value(name);
    if (value === undefined) return absent;
    if (!/^[+-]?\d{1,10}$/.test(value)) this.#wrong(`bad numerical configuration: ${name} = ${value}`);
    const number = Number(value);
    if (number > 2 ** 31 - 1) this.#wrong(`bad numerical configuration: ${name} = ${value}`);
    if (number < least) this.#wrong(`invalid ${name} parameter value ${number} < ${least}`);
    return number;
  }

  flag(name: string, absent: boolean): boolean {
    const value = this.#value(name);
    if (value === undefined) return absent;
    if (/^yes$/i.test(value)) return true;
    if (/^no$/i.test(value)) return false;
    return this.#wrong(`bad boolean configuration: ${name} = ${value}`);
  }

  #wrong(text: string): never {
    throw new TableError("config", `${this.name}: ${text}`);
  }
}

/** The name is a file, and not a prefix of parameters in main.cf. */
export const isPath = (name: string): boolean => /^[./]/.test(name);

/** The file that a table of that name has its parameters in. */
export const parameterFile = (name: string): { readonly source?: string } => (isPath(name) ? { source: name } : {});

const fileLimit_bytes = 1024 * 1024;

/** Does such a file give a password, in a parameter of its own or in a connection URI? */
export function holdsPassword(bytes: Buffer): boolean {
  const { settings } = parseMainCf(bytes.toString("latin1"), "");
  const value = (name: string): string => settings.get(name)?.value.trim() ?? "";
  return value("password") !== "" || value("bind_pw") !== "" || /:\/\/\S*:\S*@|[?&]password=/.test(value("hosts"));
}

async function writtenIn(path: string, context: TableContext): Promise<ReadonlyMap<string, string>> {
  const { bytes } = await context.read(path).catch((error: unknown) => {
    if (!(error instanceof TableError)) throw error;
    throw new TableError(error.kind, error.message.replace(/^open database /, "open "));
  });
  if (bytes.length > fileLimit_bytes) throw new TableError("config", `${path}: larger than ${fileLimit_bytes} bytes`);
  const { settings, warnings, problems } = parseMainCf(bytes.toString(), path);
  const [problem] = problems;
  if (problem) {
    throw new TableError("config", `${path}, line ${problem.line}: ${problem.text.replace(/: ".*/s, "")}`);
  }
  for (const { line, text } of warnings) context.warn(`${path}, line ${line}: ${text.replace(/=.*/s, "")}`);
  return new Map([...settings].map(([name, { value }]) => [name, value]));
}
