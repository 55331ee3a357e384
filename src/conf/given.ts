/**
 * A configuration from the environment, as container images of Postfix have it:
 *
 *   POSTFIX_name=value           the parameter `name`; an empty value is its default
 *   POSTMAP_name=text            the source of the table $config_directory/name
 *   RELAYHOST, RELAYHOST_USERNAME, RELAYHOST_PASSWORD, RELAYHOST_TLS_LEVEL
 *   CREDENTIALS_DIRECTORY        systemd's: the parameter credentials_directory
 *
 * Each of them with _FILE behind its name: the text of that file, without white space around it. Above main.cf, and below
 * the -o of master.cf and of command lines. Passwords are no parameter's value: they are handed on beside the parameters,
 * stay in memory, and are named by none of the texts here.
 */
import type { Setting } from "./main-cf.ts";
import { nearestName } from "./nearest.ts";
import type { Problem } from "./problem.ts";

/** What the environment says, as plain data. */
export interface Given {
  /** By parameter; undefined: as if main.cf said nothing. `by` is the variable. */
  readonly settings: Readonly<Record<string, { readonly value: string | undefined; readonly by: string }>>;
  /** Sources of tables, by name in the configuration directory. */
  readonly tables: Readonly<Record<string, string>>;
  /** "user:password" for the relay host. */
  readonly login?: string;
  readonly warnings: readonly Problem[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The table that holds the login for the relay host. */
export const loginTable = "given:relayhost";

const parameterPrefix = "POSTFIX_";
const tablePrefix = "POSTMAP_";
const relayVariables = ["RELAYHOST", "RELAYHOST_USERNAME", "RELAYHOST_PASSWORD", "RELAYHOST_TLS_LEVEL"];

/** Variables that Kubernetes makes for a service named postfix or postmap. */
const ofOthers = /^(?:SERVICE_(?:HOST|PORT)|PORT$|PORT_)/;

export interface GivenResult {
  /** Undefined where the environment says nothing. */
  readonly given: Given | undefined;
  readonly problems: readonly Problem[];
}

/** `read` gives the text of a file, or rejects with an Error such as "cannot be read: no such file"; `known` are the names of parameters. */
export async function readGiven(
  env: Environment,
  read: (path: string) => Promise<string>,
  known: ReadonlySet<string>,
): Promise<GivenResult> {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const values = await variables(env, read, problems);
  const settings: Record<string, { value: string | undefined; by: string }> = {};
  const tables: Record<string, string> = {};
  for (const [variable, value] of values) {
    if (variable.startsWith(tablePrefix)) tables[variable.slice(tablePrefix.length)] = value;
    if (!variable.startsWith(parameterPrefix)) continue;
    const name = parameterName(variable.slice(parameterPrefix.length), known);
    if (name === undefined) warnings.push(unknown(variable, known));
    else settings[name] = { value: value === "" ? undefined : value, by: variable };
  }
  const directory = env.CREDENTIALS_DIRECTORY;
  if (directory) settings.credentials_directory ??= { value: directory, by: "CREDENTIALS_DIRECTORY" };
  const login = relayLogin(values, settings, problems);
  const nothing = Object.keys(settings).length + Object.keys(tables).length + warnings.length === 0;
  const given = nothing ? undefined : { settings, tables, warnings, ...(login === undefined ? {} : { login }) };
  return { given, problems };
}

/** The variables that concern us, with what their files say. */
async function variables(
  env: Environment,
  read: (path: string) => Promise<string>,
  problems: Problem[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [variable, value] of Object.entries(env)) {
    if (value === undefined || !concernsUs(variable)) continue;
    if (!variable.endsWith("_FILE")) {
      found.set(variable, value);
      continue;
    }
    const target = variable.slice(0, -"_FILE".length);
    if (env[target] !== undefined) {
      const text = `${target} and ${variable} are both set`;
      problems.push({ file: "the environment", line: 0, text, remedy: "Keep one of them." });
      continue;
    }
    try {
      found.set(target, (await read(value)).trim());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      problems.push({ file: "the environment", line: 0, text: `${variable}: ${value} ${why}`, remedy: "" });
    }
  }
  return found;
}

function concernsUs(variable: string): boolean {
  const name = variable.endsWith("_FILE") ? variable.slice(0, -"_FILE".length) : variable;
  if (relayVariables.includes(name)) return true;
  const [prefix] = [parameterPrefix, tablePrefix].filter((each) => name.startsWith(each) && name !== each);
  return prefix !== undefined && !ofOthers.test(name.slice(prefix.length));
}

/** As it is written, or in another case. */
function parameterName(written: string, known: ReadonlySet<string>): string | undefined {
  if (known.has(written)) return written;
  const lower = written.toLowerCase();
  if (known.has(lower)) return lower;
  return [...known].find((name) => name.toLowerCase() === lower);
}

function unknown(variable: string, known: ReadonlySet<string>): Problem {
  const nearest = nearestName(variable.slice(parameterPrefix.length).toLowerCase(), known);
  const remedy = nearest === undefined ? "" : `Did you mean ${parameterPrefix}${nearest}?`;
  return { file: "the environment", line: 0, text: `${variable} names no parameter, and is ignored`, remedy };
}

/** RELAYHOST and its like become parameters, but for the login itself. */
function relayLogin(
  values: ReadonlyMap<string, string>,
  settings: Record<string, { value: string | undefined; by: string }>,
  problems: Problem[],
): string | undefined {
  const relayhost = values.get("RELAYHOST");
  if (relayhost) settings.relayhost ??= { value: relayhost, by: "RELAYHOST" };
  const level = values.get("RELAYHOST_TLS_LEVEL");
  if (level) settings.smtp_tls_security_level ??= { value: level, by: "RELAYHOST_TLS_LEVEL" };
  const [user, password] = [values.get("RELAYHOST_USERNAME") ?? "", values.get("RELAYHOST_PASSWORD") ?? ""];
  if (user === "" && password === "") return undefined;
  const wrong =
    user === ""
      ? "RELAYHOST_PASSWORD is set, and RELAYHOST_USERNAME is not"
      : password === ""
        ? "RELAYHOST_USERNAME is set, and RELAYHOST_PASSWORD is not"
        : /[:\s]/.test(user)
          ? "RELAYHOST_USERNAME has a colon or white space in it"
          : /[\r\n\0]/.test(password)
            ? "RELAYHOST_PASSWORD has more than one line"
            : undefined;
  if (wrong !== undefined) {
    problems.push({ file: "the environment", line: 0, text: wrong, remedy: "" });
    return undefined;
  }
  settings.smtp_sasl_auth_enable ??= { value: "yes", by: "RELAYHOST_USERNAME" };
  return `${user}:${password}`;
}

/**
 * `written`, with what the environment says put above it. With a login, PLAIN and LOGIN are let through under TLS, and TLS is
 * asked for, unless something is written about either.
 */
export function withGiven(written: ReadonlyMap<string, Setting>, given: Given | undefined): Map<string, Setting> {
  const result = new Map(written);
  if (!given) return result;
  for (const [name, { value, by }] of Object.entries(given.settings)) {
    if (value === undefined) result.delete(name);
    else result.set(name, { value, file: `the environment (${by})`, line: 0 });
  }
  if (given.login === undefined) return result;
  const place = { file: "the environment (RELAYHOST_USERNAME)", line: 0 };
  const maps = result.get("smtp_sasl_password_maps")?.value ?? "";
  result.set("smtp_sasl_password_maps", { ...place, value: maps === "" ? loginTable : `${loginTable}, ${maps}` });
  if (!result.has("smtp_sasl_security_options") && !result.has("smtp_sasl_tls_security_options")) {
    result.set("smtp_sasl_tls_security_options", { ...place, value: "noanonymous" });
  }
  if (!["smtp_tls_security_level", "smtp_use_tls", "smtp_enforce_tls"].some((name) => result.has(name))) {
    result.set("smtp_tls_security_level", { ...place, value: "encrypt" });
  }
  return result;
}

/** The source of the table with the login: one entry for each relay host, as it is written. */
export function loginSource(login: string, relayhosts: readonly string[]): string {
  return relayhosts.map((relayhost) => `${relayhost} ${login}\n`).join("");
}
