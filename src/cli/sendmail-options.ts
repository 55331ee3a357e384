import { getopt } from "./getopt.ts";

export type SendmailMode =
  | "deliver"
  | "mailq"
  | "smtp"
  | "newaliases"
  | "daemon"
  | "flush"
  | "flush-id"
  | "flush-site"
  | "nothing";

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
  /** -G: mail on its way through, whose headers are not completed. */
  readonly gateway: boolean;
  /** -oA: another alias database for newaliases. */
  readonly aliases: string | undefined;
  /** -qI, -qR. */
  readonly argument: string;
  readonly recipients: readonly string[];
  readonly warnings: readonly string[];
}

export class SendmailUsage extends Error {
  /** What is said before the message; "" for nothing. */
  readonly detail: string;

  constructor(message: string, detail = "") {
    super(message);
    this.detail = detail;
  }
}

/** Letters as Sendmail and its successors have taken them, those without effect included. */
const letters = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx";

/** Stands for a "-q" without a value, which getopt does not know. */
const bareFlush = "-q\u0000";

const modes: Readonly<Record<string, SendmailMode>> = {
  m: "deliver",
  p: "mailq",
  s: "smtp",
  i: "newaliases",
  d: "daemon",
  l: "daemon",
  h: "nothing",
  H: "nothing",
};

const modeOfName: Readonly<Record<string, SendmailMode>> = {
  mailq: "mailq",
  newaliases: "newaliases",
  smtpd: "daemon",
};

type Changes = { -readonly [Name in keyof SendmailOptions]?: SendmailOptions[Name] };

/** Throws SendmailUsage. The name that the program was called by counts like an option (mailq, newaliases). */
export function parseSendmail(calledAs: string, args: readonly string[]): SendmailOptions {
  const { options, operands, problem } = getopt(args.map(plain), letters);
  if (problem) throw new SendmailUsage(`usage: ${calledAs} [options]`, problem);
  const warnings: string[] = [];
  const found: { -readonly [Name in keyof SendmailOptions]: SendmailOptions[Name] } = {
    mode: modeOfName[calledAs] ?? "deliver",
    directory: undefined,
    sender: undefined,
    fullName: undefined,
    extract: false,
    dotEnds: true,
    notify: undefined,
    ret: undefined,
    envid: undefined,
    report: false,
    gateway: false,
    aliases: undefined,
    argument: "",
    recipients: operands,
    warnings,
  };
  const flush: Flush = { timed: false };
  for (const { letter, value } of options) {
    if (letter === "q") queue(value, found.mode, flush, warnings);
    else Object.assign(found, apply(letter, value, warnings));
    if (flush.all) {
      flush.all = false;
      found.mode = "flush";
    }
  }
  return combine(found, flush);
}

/** "-q" takes its argument attached only; a bare one asks for everything. "-V" with two characters behind it was VERP once. */
function plain(arg: string, at: number, args: readonly string[]): string {
  if (arg === "-q") return bareFlush;
  const verp = (arg === "-V" && args[at + 1]?.length === 2) || (arg.startsWith("-V") && arg.length === 4);
  return verp ? "-XV" : arg;
}

/** What -q has asked for. A time is how often a daemon of other makes looks into its queue: there is nothing to do. */
interface Flush {
  all?: boolean;
  timed: boolean;
  site?: string;
  id?: string;
}

function queue(value: string, mode: SendmailMode, flush: Flush, warnings: string[]): void {
  const kind = value[0] ?? "";
  const argument = value.slice(1);
  if (value === bareFlush.slice(2)) {
    if (mode === "daemon") warnings.push("ignoring -q option in daemon mode");
    else flush.all = true;
  } else if (/\d/.test(kind)) flush.timed = true;
  else if (kind === "R") flush.site = given(argument, "specify: -qRsitename");
  else if (kind === "I") flush.id = given(argument, "specify: -qIqueueid");
  else throw new SendmailUsage(`-q${kind} is not implemented`);
}

function given(argument: string, problem: string): string {
  if (argument === "") throw new SendmailUsage(problem);
  return argument;
}

/** Options that exclude one another, and what follows from several together. */
function combine(found: SendmailOptions, { timed, site, id }: Flush): SendmailOptions {
  const { mode, recipients } = found;
  const delivers = mode === "deliver";
  if (found.extract && !delivers) throw new SendmailUsage("-t can be used only in delivery mode");
  if (site !== undefined && !delivers) throw new SendmailUsage("-qR can be used only in delivery mode");
  if (id !== undefined && !delivers) throw new SendmailUsage("-qI can be used only in delivery mode");
  if (timed && mode !== "daemon") return { ...found, mode: "nothing" };
  if (site !== undefined) return alone({ ...found, mode: "flush-site", argument: site }, "flush site");
  if (id !== undefined) return alone({ ...found, mode: "flush-id", argument: id }, "flush queue_id");
  const name = withoutRecipients[mode];
  return name === undefined || recipients.length === 0 ? found : alone(found, name);
}

const withoutRecipients: Readonly<Partial<Record<SendmailMode, string>>> = {
  mailq: "display queue mode",
  flush: "flush queue mode",
  daemon: "daemon mode",
  newaliases: "alias initialization mode",
  smtp: "stand-alone mode",
};

function alone(found: SendmailOptions, name: string): SendmailOptions {
  if (found.recipients.length > 0) throw new SendmailUsage(`${name} requires no recipient`);
  return found;
}

function apply(letter: string, value: string, warnings: string[]): Changes {
  switch (letter) {
    case "b":
      return mode(value);
    case "o":
      return option(value);
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
    case "G":
      return { gateway: true };
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
    case "X":
      throw new SendmailUsage(value.startsWith("V") ? withoutVerp : `unsupported: -X${value[0] ?? ""}`);
    case "B":
      if (value !== "7BIT" && value !== "8BITMIME") throw new SendmailUsage("-B option needs 8BITMIME or 7BIT");
      return {};
    case "n":
      throw new SendmailUsage("-n option not supported");
    default:
      return {};
  }
}

const withoutVerp = "-XV: a sender address for each recipient (VERP) is not supported";

function mode(value: string): Changes {
  if (value.startsWith("v")) {
    throw new SendmailUsage(
      "-bv: a report without delivery is not supported; 'sendmail -v' delivers, and reports by mail",
    );
  }
  const known = modes[value[0] ?? ""];
  if (!known) throw new SendmailUsage(`unsupported: -b${value[0] ?? ""}`);
  return { mode: known };
}

function option(value: string): Changes {
  if (value.startsWith("i")) return { dotEnds: false };
  if (!value.startsWith("A")) return {};
  if (value === "A") throw new SendmailUsage("-oA requires pathname");
  return { aliases: value.slice(1) };
}

const notifyWords = ["NEVER", "SUCCESS", "FAILURE", "DELAY"] as const;

function notify(value: string, warnings: string[]): Changes {
  const words = value
    .toUpperCase()
    .split(/[,\s]+/)
    .filter((word) => word !== "");
  const known = notifyWords.filter((word) => words.includes(word));
  const unknown = words.find((word) => !notifyWords.some((each) => each === word));
  if (unknown === undefined && known.length > 0 && !(known.includes("NEVER") && known.length > 1))
    return { notify: known };
  if (unknown !== undefined) warnings.push(`unknown DSN NOTIFY command value "${unknown.toLowerCase()}" in "${value}"`);
  warnings.push("bad -N option value -- ignored");
  return {};
}

function ret(value: string, warnings: string[]): Changes {
  const word = value.toUpperCase();
  if (word === "FULL" || word === "HDRS") return { ret: word };
  warnings.push("bad -R option value -- ignored");
  return {};
}

/** RFC 3461 section 4.4. */
function envid(value: string, warnings: string[]): Changes {
  if (value.length > 100) warnings.push("too long -V option value -- ignored");
  else if (/[^\t -~]/.test(value)) warnings.push("bad syntax in -V option value -- ignored");
  else return { envid: value };
  return {};
}
