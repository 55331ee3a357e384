/**
 * What an answer of another mail server, or a failure of our own, means in plain words, and what would help.
 *
 * Explanations are data, in files of this room, the particular ones before the general ones: the first whose pattern matches is
 * it (explain.ts). To add one, write it where it belongs, with a text from real life as an example; the tests see to it that
 * each example is explained by the entry that it stands in, and by no earlier one.
 */
export interface Explanation {
  /** Stable, for programs and for searching: "login-refused". */
  readonly code: string;
  /** What happened, as one would say it to somebody who does not know mail. Whole sentences. */
  readonly meaning: string;
  /** What to do about it. Whole sentences. */
  readonly remedy: string;
  readonly act: Act;
}

/**
 * Who can do something.
 *   wait       nobody has to: it is tried again, and mostly works then
 *   here       this host, or its configuration
 *   account    the account at the provider, or the provider
 *   sender     the domain that the mail is from: its records in the DNS, its reputation, the message itself
 *   recipient  the address that the mail is for, or the server behind it
 */
export type Act = "wait" | "here" | "account" | "sender" | "recipient";

export interface Entry extends Explanation {
  /** For the text as it stands in the log: with the host's name and "said:", where a server said it. */
  readonly matches: RegExp;
  /** From real life; at least one. */
  readonly examples: readonly string[];
}
