import type { SmtpdConf } from "./params.ts";

export type EhloConf = Pick<
  SmtpdConf,
  "myhostname" | "message_size_limit" | "disable_vrfy_command" | "smtputf8_enable"
>;

/** The reply to EHLO (RFC 5321 section 4.1.1.1), without its final CRLF. `discard`: keywords to leave out, in lower case. */
export function ehloReply(conf: EhloConf, discard: ReadonlySet<string>): string {
  const { myhostname, message_size_limit, disable_vrfy_command, smtputf8_enable } = conf;
  const offers = (keyword: string): boolean => !discard.has(keyword);
  const words = [myhostname];
  if (offers("pipelining")) words.push("PIPELINING");
  if (offers("size")) words.push(message_size_limit > 0 ? `SIZE ${message_size_limit}` : "SIZE");
  if (offers("vrfy") && !disable_vrfy_command) words.push("VRFY");
  if (offers("enhancedstatuscodes")) words.push("ENHANCEDSTATUSCODES");
  if (offers("8bitmime")) words.push("8BITMIME");
  if (offers("dsn")) words.push("DSN");
  if (offers("smtputf8") && smtputf8_enable) words.push("SMTPUTF8");
  return words.map((word, index) => `250${index < words.length - 1 ? "-" : " "}${word}`).join("\r\n");
}
