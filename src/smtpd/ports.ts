/**
 * What the SMTP server needs from the rest of the relay. It knows neither the
 * queue nor the tables: it hands in transactions, and gets replies.
 */
import type { Notify } from "../queue/message.ts";
import type { Reply } from "../rfc5321/reply.ts";
import type { AddressClass } from "../routing/router.ts";
import type { Answer } from "../table/maps.ts";

export interface SmtpdPorts {
  /**
   * What a recipient is to this relay. May throw or reject with a TableError
   * when it cannot tell; the recipient is then refused for now.
   */
  classify(recipient: string, sender: string): Answer<RecipientFacts>;

  /** A fresh queue id. Asked for at the first recipient taken, so that log lines can bear it. */
  nextId(): string;

  /** A message begins: the client has been told to send it. Must not throw. */
  open(transaction: Transaction): Intake;

  /** There is room for another message of the largest size (a figure kept by others, at hand at once). */
  freeSpace(): boolean;
}

export interface RecipientFacts {
  readonly class: AddressClass;
  /**
   * A recipient that nobody could deliver to: an unknown alias, the text of an
   * `error:` or `retry:` transport. `text` goes behind "Recipient address rejected: ".
   * Told only to those whom the restrictions let through.
   */
  readonly refusal?: Reply;
}

export interface Client {
  /** The verified name, or "unknown". */
  readonly name: string;
  /** Numeric, IPv4 where it was mapped into IPv6. */
  readonly address: string;
  readonly port: number;
  /** "name[address]", as in log lines. */
  readonly shown: string;
}

export interface TransactionRecipient {
  readonly address: string;
  readonly notify: Notify;
  /** "rfc822;name@example.com", as given and checked, still encoded as xtext; undefined where none was. */
  readonly orcpt: string | undefined;
}

/** One message on its way in, as the envelope tells it. */
export interface Transaction {
  readonly id: string;
  /** Of the MAIL command, milliseconds since the epoch. */
  readonly arrival_ms: number;
  /** "" is the null sender. */
  readonly sender: string;
  /** In the order given, at least one; duplicates are kept. */
  readonly recipients: readonly TransactionRecipient[];
  readonly client: Client;
  /** "" where the client never said. */
  readonly helo: string;
  readonly protocol: "SMTP" | "ESMTP";
  readonly smtputf8: boolean;
  /** BODY= of MAIL. */
  readonly body: "7BIT" | "8BITMIME" | undefined;
  /** SIZE= of MAIL; 0 where it was not given. */
  readonly declaredSize_bytes: number;
  readonly envid: string | undefined;
  readonly ret: "FULL" | "HDRS" | undefined;
  readonly saslUsername: string;
}

/**
 * Takes one message's text: header and body with CRLF line ends, without
 * stuffed dots, as the client sent it. Exactly one of commit and abandon is
 * called, last.
 */
export interface Intake {
  /**
   * The next bytes. May keep the buffer. Where it returns a promise, nothing
   * more comes before that resolves; it must not reject: what went wrong is
   * told by commit.
   */
  data(bytes: Buffer): void | Promise<void>;
  /** Resolves when the message is durable, or with why it was not taken. A rejection counts as a bug: the client is told to come back later. */
  commit(): Promise<IntakeResult>;
  /** The client went away, or sent too much. */
  abandon(): void;
}

export type IntakeResult =
  | { readonly kind: "queued"; readonly id: string }
  | { readonly kind: "rejected" | "deferred"; readonly reply: Reply };
