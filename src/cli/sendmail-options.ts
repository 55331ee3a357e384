import { getopt } from "./getopt.ts";

export type SendmailMode = "deliver" | "mailq" | "smtp" | "newaliases" | "daemon" | "flush" | "flush-id" | "flush-site";

export interface SendmailOptions {
  readonly mode: SendmailMode;
  /** -C: another configuration directory. */
  readonly directory: string | undefined;
  /** -f, -r; undefined: the user's own address. "" is the null sender. */
  readonly sender: string | undefined;
  readonly fullName: string | undefined;
  /** -t: recipients are read from the header too. */
  readonly extract: boolean;
  /** A line that is a single dot ends the message (off with -i, -oi). */
  readonly dotEnds: boolean;
  readonly notify: readonly ("NEVER" | "SUCCESS" | "FAILURE" | "DELAY")[] | undefined;
  readonly ret: "FULL" | "HDRS" | undefined;
  readonly envid: string | undefined;
  /** -v: report on the delivery by mail. */
  readonly report: boolean;
  /** -qI, -qR. */
  readonly argument: string;
  readonly recipients: readonly string[];
  readonly warnings: readonly string[];
}

export class SendmailUsage extends Error {}

/** Letters as Sendmail and its successors have taken them, those without effect included. */
const letters = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx";

const modes: Readonly<Record<string, SendmailMode>> = {
  m: "deliver",
  p: "mailq",
  s: "smtp",
  i: "newaliases",
  d: "daemon",
  l: "daemon",
};

/** Throws SendmailUsage. The name that the program was called by counts like an option (mailq, newaliases). */
export function parseSendmail(calledAs: string, args: readonly string[]): SendmailOptions {
  const { options, operands, problem } = getopt(args.map(obsolete), letters);
  if (problem) throw new SendmailUsage(`${problem}\nsendmail: fatal: usage: sendmail [options]`);
  const warnings: string[] = [];
  let found: SendmailOptions = {
    mode: calledAs === "mailq" ? "mailq" : calledAs === "newaliases" ? "newaliases" : "deliver",
    directory: undefined,
    sender: undefined,
    fullName: undefined,
    extract: false,
    dotEnds: true,
    notify: undefined,
    ret: undefined,
    envid: undefined,
    report: false,
    argument: "",
    recipients: operands,
    warnings,
  };
  for (const { letter, value } of options) found = { ...found, ...apply(letter, value, warnings) };
  if (found.extract && found.mode !== "deliver") throw new SendmailUsage("-t can be used only in delivery mode");
  return found;
}

/** "-q" takes its argument attached only; a bare one asks for everything. */
const obsolete = (arg: string): string => (arg === "-q" ? "-q " : arg);

function apply(letter: string, value: string, warnings: string[]): Partial<SendmailOptions> {
  switch (letter) {
    case "b":
      return mode(value);
    case "q":
      return queue(value.trim());
    case "o":
      return value.startsWith("i") ? { dotEnds: false } : {};
    case "i":
      return { dotEnds: false };
    case "I":
      return { mode: "newaliases" };
    case "f":
    case "r":
      return { sender: value };
    case "F":
      return { fullName: value };
    case "C":
      return { directory: value };
    case "t":
      return { extract: true };
    case "v":
      return { report: true };
    case "N":
      return notify(value, warnings);
    case "R":
      return ret(value, warnings);
    case "V":
      return envid(value, warnings);
    case "B":
      if (!/^(7BIT|8BITMIME)$/i.test(value)) throw new SendmailUsage("-B option needs 8BITMIME or 7BIT");
      return {};
    case "n":
      throw new SendmailUsage("-n option not supported");
    default:
      return {};
  }
}

function mode(value: string): Partial<SendmailOptions> {
  const known = modes[value[0] ?? ""];
  if (!known) throw new SendmailUsage(`unsupported: -b${value}`);
  return { mode: known };
}

function queue(value: string): Partial<SendmailOptions> {
  if (value === "" || /^\d/.test(value)) return { mode: "flush" };
  if (value.length < 2) throw new SendmailUsage(`specify: -q${value}${value === "I" ? "queueid" : "sitename"}`);
  if (value.startsWith("R")) return { mode: "flush-site", argument: value.slice(1) };
  if (value.startsWith("I")) return { mode: "flush-id", argument: value.slice(1) };
  throw new SendmailUsage(`-q${value} is not implemented`);
}

const notifyWords = ["NEVER", "SUCCESS", "FAILURE", "DELAY"] as const;

function notify(value: string, warnings: string[]): Partial<SendmailOptions> {
  const words = value.toUpperCase().split(",").map((word) => word.trim());
  const known = notifyWords.filter((word) => words.includes(word));
  const unknown = words.find((word) => !notifyWords.some((each) => each === word));
  if (unknown !== undefined || (known.includes("NEVER") && known.length > 1)) {
    if (unknown !== undefined) {
      warnings.push(`unknown DSN NOTIFY command value "${unknown.toLowerCase()}" in "${value}"`);
    }
    warnings.push("bad -N option value -- ignored");
    return {};
  }
  return { notify: known };
}

function ret(value: string, warnings: string[]): Partial<SendmailOptions> {
  const word = value.toUpperCase();
  if (word === "FULL" || word === "HDRS") return { ret: word };
  warnings.push("bad -R option value -- ignored");
  return {};
}

function envid(value: string, warnings: string[]): Partial<SendmailOptions> {
  if (value.length <= 100 && !/[\u0000-\u001f\u007f]/.test(value)) return { envid: value };
  warnings.push("bad -V option value -- ignored");
  return {};
}
