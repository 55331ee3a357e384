/**
 * What setup writes, worked out without writing it: parameters of main.cf, and one entry of the password table.
 */
import { editText } from "../conf/edit.ts";
import type { Settings } from "../conf/settings.ts";

export interface Login {
  /** "[smtp.example.com]:587" */
  readonly nexthop: string;
  readonly wrapper: boolean;
  /** secure: the certificate has to bear the server's name. */
  readonly level: "secure" | "encrypt";
  /** A file of authorities; undefined: the system's. */
  readonly authorities: string | undefined;
  readonly username: string;
  readonly password: string;
}

export class SetupError extends Error {}

const systemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

/** The parameters that are not as they have to be, with the values they get. `table`: "hash:/etc/postfix/sasl_passwd". */
export function parameterChanges(settings: Settings, login: Login, table: string): Map<string, string> {
  const wanted: [name: string, value: string][] = [
    ["relayhost", login.nexthop],
    ["smtp_sasl_auth_enable", "yes"],
    ["smtp_sasl_password_maps", withTable(settings.value("smtp_sasl_password_maps"), table)],
    // Over TLS a password is protected, and most providers know nothing else.
    ["smtp_sasl_tls_security_options", "noanonymous"],
    ["smtp_tls_security_level", login.level],
    ["smtp_tls_wrappermode", login.wrapper ? "yes" : "no"],
  ];
  const file = login.authorities ?? (settings.value("smtp_tls_CAfile") || systemAuthorities);
  if (login.level === "secure") wanted.push(["smtp_tls_CAfile", file]);
  return new Map(wanted.filter(([name, value]) => settings.value(name).trim() !== value));
}

/** Tables that are there already stay; ours is asked first. */
function withTable(before: string, table: string): string {
  const words = before.split(/[\s,]+/).filter(Boolean);
  return words.includes(table) ? before : [table, ...words].join(", ");
}

export function changedMainCf(text: string, changes: ReadonlyMap<string, string>): string {
  return changes.size === 0 ? text : editText(text, changes, () => {});
}

/** The table's source with this login under its next hop, in place of an entry that is there; comments and order stay. */
export function changedPasswords(text: string, login: Login, delimiter: string): string {
  assertWritable(login, delimiter);
  const entry = `${login.nexthop}\t${login.username}${delimiter}${login.password}\n`;
  const kept: string[] = [];
  let placed = false;
  let dropping = false;
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const continues = /^[ \t\r\v\f]/.test(line) && line.trim() !== "" && !line.trim().startsWith("#");
    if (continues && dropping) continue;
    dropping = false;
    const [, key = ""] = /^("[^"]*"|\S+)\s/.exec(line) ?? [];
    if (!continues && !line.startsWith("#") && unquoted(key).toLowerCase() === login.nexthop.toLowerCase()) {
      dropping = true;
      if (!placed) kept.push(entry);
      placed = true;
      continue;
    }
    kept.push(line.endsWith("\n") ? line : `${line}\n`);
  }
  if (!placed) kept.push(entry);
  return kept.join("");
}

const unquoted = (key: string): string => key.replace(/^"(.*)"$/s, "$1");

/** A line of the table has no way to say these; anything else in a password is fine. */
function assertWritable({ username, password }: Login, delimiter: string): void {
  if (username === "") throw new SetupError("the user name is empty");
  if (password === "") throw new SetupError("the password is empty");
  for (const [what, text] of [
    ["user name", username],
    ["password", password],
  ] as const) {
    if (/[\n\r\0]/.test(text)) throw new SetupError(`the ${what} has a line end or a NUL in it`);
  }
  if (/^\s/.test(username)) throw new SetupError("the user name begins with white space, which the table cannot hold");
  if (/\s$/.test(password)) throw new SetupError("the password ends with white space, which the table cannot hold");
  if (username.includes(delimiter)) {
    throw new SetupError(
      `the user name has a "${delimiter}" in it: set smtp_sasl_password_result_delimiter to a character that neither has`,
    );
  }
}
