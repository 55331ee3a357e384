import type { Setting } from "./main-cf.ts";
import type { Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";
import { LineTooLong, logicalLines, splitNameValue } from "./text.ts";

/**
 * master.cf: one service a logical line, as master(5) describes it:
 *
 *   service type private unpriv chroot wakeup maxproc command [arguments]
 *
 * with "-" for a field's default, `-o name=value` or `-o { name = value }`
 * among the arguments, and `{ … }` around an argument with white space.
 */
export type ServiceType = "inet" | "unix" | "fifo" | "unix-dgram" | "pass";

export interface MasterService {
  /** As written: "smtp", "127.0.0.1:10025", "relay". */
  readonly name: string;
  readonly type: ServiceType;
  readonly private: boolean;
  readonly unprivileged: boolean;
  /** undefined where it follows compatibility_level. */
  readonly chroot: boolean | undefined;
  /** Seconds between wake-ups; 0 for none. */
  readonly wakeup_s: number;
  readonly wakeupOnlyIfUsed: boolean;
  /** How many processes, here sessions, at once; 0 for any number; undefined where it follows default_process_limit. */
  readonly processLimit: number | undefined;
  /** The program, such as "smtpd"; may be a path. */
  readonly command: string;
  /** What follows it, without -o and its values. */
  readonly args: readonly string[];
  readonly overrides: ReadonlyMap<string, Setting>;
  /** Of an inet service. */
  readonly endpoint: InetEndpoint | undefined;
  readonly file: string;
  readonly line: number;
}

/** Where an inet service listens. */
export interface InetEndpoint {
  /** A name or a numeric address, without brackets; "" for what inet_interfaces says. */
  readonly host: string;
  readonly port: number;
}

export interface MasterCf {
  readonly services: readonly MasterService[];
  readonly warnings: readonly Problem[];
  readonly problems: readonly Problem[];
}

const types: readonly ServiceType[] = ["inet", "unix", "fifo", "unix-dgram", "pass"];

/** Reads the text of a master.cf. `portOf` gives the port of a service name, or undefined. */
export function parseMasterCf(text: string, file: string, portOf: (service: string) => number | undefined): MasterCf {
  const services: MasterService[] = [];
  const warnings: Problem[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  try {
    const { lines, warnings: odd } = logicalLines(text);
    for (const each of odd) warnings.push({ file, line: each.line, text: each.text, remedy: "" });
    for (const { text: entry, line } of lines) {
      const problem = (text: string, remedy = "") => problems.push({ file, line, text, remedy });
      const service = parseService(entry, file, line, portOf, problem);
      if (!service) continue;
      const key = `${service.name}/${service.type}`;
      const earlier = seen.get(key);
      if (earlier !== undefined) {
        warnings.push({
          file,
          line,
          text: `service ${key} is also defined in line ${earlier}`,
          remedy: "The later one is used.",
        });
        services.splice(
          services.findIndex((each) => `${each.name}/${each.type}` === key),
          1,
        );
      }
      seen.set(key, line);
      services.push(service);
    }
  } catch (error) {
    if (!(error instanceof LineTooLong)) throw error;
    problems.push({ file, line: error.line, text: error.message, remedy: "" });
  }
  return { services, warnings, problems };
}

/** The settings of one service: its -o overrides, $service_name and $process_name. */
export function settingsOf(service: MasterService, settings: Settings): Settings {
  const process = commandName(service.command);
  const place = { file: service.file, line: service.line };
  return settings.with(
    new Map([
      ...service.overrides,
      ["service_name", { value: service.name, ...place }],
      ["process_name", { value: process, ...place }],
    ]),
  );
}

/** The last part of a command's path. */
export function commandName(command: string): string {
  return command.replace(/^.*\//, "");
}

type Report = (text: string, remedy?: string) => void;

/** Splits at blanks, leaving what stands in braces whole. */
export function splitFields(entry: string): string[] {
  const fields: string[] = [];
  let field = "";
  let depth = 0;
  for (const char of entry) {
    if (depth === 0 && /[ \t\r\n]/.test(char)) {
      if (field) fields.push(field);
      field = "";
      continue;
    }
    if (char === "{") depth++;
    else if (char === "}" && depth > 0) depth--;
    field += char;
  }
  if (field) fields.push(field);
  return fields;
}

const fieldNames = [
  "service name",
  "transport type",
  "private",
  "unprivileged",
  "chroot",
  "wakeup_time",
  "max_proc",
  "command",
];

function parseService(
  entry: string,
  file: string,
  line: number,
  portOf: (service: string) => number | undefined,
  report: Report,
): MasterService | undefined {
  let sound = true;
  const problem: Report = (text, remedy) => {
    sound = false;
    report(text, remedy);
  };
  const fields = splitFields(entry);
  const [
    name = "",
    type = "",
    isPrivate = "",
    unprivileged = "",
    chroot = "",
    wakeup = "",
    maxproc = "",
    command = "",
  ] = fields;
  const missing = fieldNames[fields.length];
  if (missing !== undefined) {
    problem(
      `missing "${missing}" field`,
      "A service has eight fields: service type private unpriv chroot wakeup maxproc command.",
    );
    return undefined;
  }
  const known = types.find((each) => each === type);
  if (!known) problem(`bad transport type: ${type}`, `Use one of: ${types.join(", ")}.`);
  const flag = (field: string, value: string, fallback: boolean | undefined) => {
    if (value !== "y" && value !== "n" && value !== "-")
      problem(`field "${field}": bad value: "${value}"`, 'Use "y", "n" or "-".');
    return value === "-" ? fallback : value === "y";
  };
  const isPrivateService = flag("private", isPrivate, true) ?? true;
  const endpoint = known === "inet" ? parseEndpoint(name, portOf, problem) : undefined;
  if (known === "inet" && isPrivateService) problem("inet service cannot be private", 'Write "n" as the third field.');
  if (!/^(-|\d{1,9}\??)$/.test(wakeup))
    problem(`field "wakeup_time": bad value: "${wakeup}"`, 'Use a number of seconds, or "-".');
  if (!/^(-|\d{1,9})$/.test(maxproc))
    problem(`field "max_proc": bad value: "${maxproc}"`, 'Use a number, 0 for no limit, or "-".');
  if (command === "-") problem('field "command" has no default value', "Name a program.");
  const { args, overrides } = parseArguments(fields.slice(8), file, line, problem);
  const service = {
    private: isPrivateService,
    unprivileged: flag("unprivileged", unprivileged, true) ?? true,
    chroot: flag("chroot", chroot, undefined),
    wakeup_s: wakeup === "-" ? 0 : Number.parseInt(wakeup, 10),
    wakeupOnlyIfUsed: wakeup.endsWith("?"),
    processLimit: maxproc === "-" ? undefined : Number(maxproc),
  };
  if (!sound || !known) return undefined;
  return { name, type: known, ...service, command, args, overrides, endpoint, file, line };
}

/** `port`, `host:port`, `[host]:port`; the port a number or a service's name. */
function parseEndpoint(
  name: string,
  portOf: (service: string) => number | undefined,
  problem: Report,
): InetEndpoint | undefined {
  const remedy = "Write a port, host:port or [address]:port.";
  let host = "";
  let port = name;
  if (name.startsWith("[")) {
    const [, inside, rest] = /^\[(?:ipv6:)?([^\]]*)\](.*)$/i.exec(name) ?? [];
    if (inside === undefined || rest === undefined) return void problem(`missing "]" in "${name}"`, remedy);
    if (rest !== "" && !rest.startsWith(":")) return void problem(`garbage after "]" in "${name}"`, remedy);
    host = inside;
    port = rest.slice(1);
  } else if (name.includes(":")) {
    host = name.slice(0, name.lastIndexOf(":"));
    port = name.slice(name.lastIndexOf(":") + 1);
  }
  if (port === "") return void problem(`missing service information in "${name}"`, remedy);
  if (!/^([\w-]+(\.[\w-]+)*\.?|[0-9a-f:.]*)$/i.test(host))
    return void problem(`valid hostname or network address required in "${name}"`, remedy);
  if (/^\d/.test(port) && !/^\d+$/.test(port))
    return void problem(`garbage after numerical service in "${name}"`, remedy);
  const number = /^\d+$/.test(port) ? Number(port) : portOf(port);
  if (number === undefined)
    return void problem(`unknown service name "${port}"`, "Write the port's number, or add the name to /etc/services.");
  if (number > 65535) return void problem(`port ${port} is above 65535`, remedy);
  return { host, port: number };
}

interface Arguments {
  readonly args: readonly string[];
  readonly overrides: ReadonlyMap<string, Setting>;
}

/** Takes -o and its values out of a service's arguments. Options end at the first argument without a dash. */
function parseArguments(fields: readonly string[], file: string, line: number, problem: Report): Arguments {
  const args: string[] = [];
  const overrides = new Map<string, Setting>();
  let at = 0;
  for (; at < fields.length; at++) {
    const field = fields[at] ?? "";
    if (!field.startsWith("-") || field === "--") break;
    const o = field.indexOf("o", 1);
    if (o < 0) {
      args.push(field);
      continue;
    }
    if (o > 1) args.push(field.slice(0, o));
    const attached = field.slice(o + 1);
    const value = attached === "" ? fields[++at] : attached;
    if (value === undefined) {
      problem("-o needs name=value");
      break;
    }
    const parsed = splitNameValue(value.startsWith("{") ? withoutBraces(value, problem) : value);
    if (parsed.error !== undefined)
      problem(`${parsed.error}: "${value}"`, "Write -o name=value, without spaces, or -o { name = value }.");
    else overrides.set(parsed.name, { value: parsed.value, file, line });
  }
  for (; at < fields.length; at++) {
    const field = fields[at] ?? "";
    args.push(field.startsWith("{") ? withoutBraces(field, problem) : field);
  }
  return { args, overrides };
}

/** What stands between braces, without white space at its ends; `problem` is told in Postfix's words what is wrong with them. */
export function withoutBraces(text: string, problem: Report): string {
  let depth = 0;
  let close = -1;
  for (let at = 0; at < text.length && close < 0; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0) close = at;
  }
  if (close < 0) problem(`missing '}' in "${text}"`);
  else if (close < text.length - 1) problem(`syntax error after '}' in "${text}"`);
  return text.slice(1, close < 0 ? undefined : close).replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
}
