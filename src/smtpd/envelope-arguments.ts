/**
 * The arguments of MAIL, RCPT and VRFY: an address and parameters, taken apart
 * and checked, or the reply that refuses them. Pure; changes nothing, counts
 * nothing.
 */
import type { CommandLine } from "../rfc5321/command.ts";
import { parsePath } from "../rfc5321/path.ts";
import { type MailParameters, mailParameter, type Offers, type RcptParameters, rcptParameter } from "./parameters.ts";
import { replies } from "./words.ts";

export interface ArgumentsSetting {
  readonly offers: Offers;
  /** strict_rfc821_envelopes */
  readonly strict: boolean;
}

export interface Refused {
  readonly refused: string;
  /** What was given in place of an address, for the log. */
  readonly illegal: string | undefined;
}

export type MailArguments = MailParameters & { readonly sender: string };
export type RcptArguments = RcptParameters & { readonly address: string };

/** The first word is the keyword ("from:" or "to:", in lower case), and there is something behind it. */
export function beginsWith(keyword: "from:" | "to:", { words }: CommandLine): boolean {
  return words.length >= 2 && words[0]?.toLowerCase() === keyword;
}

export function mailArguments(command: CommandLine, setting: ArgumentsSetting): MailArguments | Refused {
  const { words } = command;
  const { offers } = setting;
  const smtputf8 = offers.smtputf8 && words.some((word, index) => index > 1 && word.toUpperCase() === "SMTPUTF8");
  const sender = pathIn(command, smtputf8, replies.badSender, setting);
  if (typeof sender !== "string") return sender;
  const said = { sender, smtputf8, body: undefined, declaredSize_bytes: 0, envid: undefined, ret: undefined };
  return parametersIn(words, said, (word) => mailParameter(word, said, offers));
}

/** `smtputf8`: MAIL had it. */
export function rcptArguments(
  command: CommandLine,
  smtputf8: boolean,
  setting: ArgumentsSetting,
): RcptArguments | Refused {
  const address = pathIn(command, smtputf8, replies.badRecipient, setting);
  if (typeof address !== "string") return address;
  if (address === "") return refused(replies.badRecipient);
  const said: RcptArguments = { address, notify: undefined, orcpt: undefined };
  return parametersIn(command.words, said, (word) => rcptParameter(word, said, setting.offers));
}

/** `argument` is what the client asked for, as one text. */
export function vrfyArguments(
  { words: given }: CommandLine,
  syntax: string,
  { offers }: ArgumentsSetting,
): { readonly address: string; readonly argument: string } | Refused {
  const words = [...given];
  const smtputf8 = offers.smtputf8 && words.at(-1)?.toUpperCase() === "SMTPUTF8";
  if (smtputf8) words.pop();
  if (words.length === 0) return refused(syntax);
  const argument = words.join(" ");
  const address = parsePath(argument, { smtputf8, strict: false });
  return address ? { address, argument } : refused(replies.badRecipient, argument);
}

/** The address in the second word. */
function pathIn(
  { words, unclosed }: CommandLine,
  smtputf8: boolean,
  bad: string,
  { strict }: ArgumentsSetting,
): string | Refused {
  const word = words[1] ?? "";
  if (unclosed.includes(1)) return refused(bad);
  const address = parsePath(word, { smtputf8, strict });
  if (address !== undefined) return address;
  const undeclared = !smtputf8 && parsePath(word, { smtputf8: true, strict }) !== undefined;
  return undeclared ? refused(replies.undeclaredUtf8) : refused(bad, word);
}

/** `said`, once `take` has noted every parameter in it; or the first problem. */
function parametersIn<Said>(
  words: readonly string[],
  said: Said,
  take: (word: string) => string | undefined,
): Said | Refused {
  for (let index = 2; index < words.length; index++) {
    const problem = take(words[index] ?? "");
    if (problem !== undefined) return refused(problem);
  }
  return said;
}

function refused(reply: string, illegal?: string): Refused {
  return { refused: reply, illegal };
}
