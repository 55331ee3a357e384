/** What is known of commands before their arguments are looked at. */
import { commandNames } from "./counts.ts";
import type { SmtpdConf } from "./params.ts";

/** Commands of which a client may send only so many between messages. */
export const junkVerbs: ReadonlySet<string> = new Set(["HELO", "EHLO", "RSET", "NOOP", "VRFY"]);

/** Commands that end a pipelined group (RFC 2920 section 3.1). */
export const lastVerbs: ReadonlySet<string> = new Set(["HELO", "EHLO", "DATA", "NOOP", "VRFY"]);

export const knownVerbs: ReadonlySet<string> = new Set(
  commandNames.filter((name) => name !== "unknown").map((name) => name.toUpperCase()),
);

/** smtpd_noop_commands: answered with 250, and otherwise ignored. */
export function isNoop(verb: string, { smtpd_noop_commands: words }: Pick<SmtpdConf, "smtpd_noop_commands">): boolean {
  return words.length > 0 && words.some((word) => word.toUpperCase() === verb);
}

/** A header's line, or one of smtpd_forbidden_commands: what talks to us is no mail client. */
export function isNonSmtp(
  verb: string,
  { smtpd_forbidden_commands: words }: Pick<SmtpdConf, "smtpd_forbidden_commands">,
): boolean {
  if (/^[!-9;-~]+:/.test(verb)) return true;
  return words.some((word) =>
    word.startsWith("regexp:") ? word.includes("/^[^A-Z]/") && !/^[A-Z]/.test(verb) : word.toUpperCase() === verb,
  );
}
