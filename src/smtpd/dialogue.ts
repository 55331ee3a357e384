/**
 * The SMTP server's side of one session, without socket, clock or queue: a
 * command line in, what to do out (RFC 5321 section 4; RFC 1870, 2920, 3461,
 * 6152, 6531).
 *
 * States, and what makes each move:
 *   idle         -> transaction   MAIL, accepted
 *   transaction  -> ready         RCPT, accepted: there is a queue id now
 *   ready        -> data          DATA: the driver reads up to the end of data
 *   data         -> idle          finished()
 *   any but data -> idle          RSET, HELO, EHLO
 *   any but data -> (over)        QUIT, too many errors, a client out of step
 *
 * Invariants
 *  1. "data" is only ever given with a sender and at least one accepted recipient.
 *  2. Between "check" and checked(), and between "data" and finished(), no line() is called.
 *  3. A refused command changes nothing but counts; a refused MAIL leaves no transaction.
 */
import type { Log } from "../log/log.ts";
import { type CommandLine, parseCommand } from "../rfc5321/command.ts";
import type { Reply } from "../rfc5321/reply.ts";
import { CommandCounts, type CommandName } from "./counts.ts";
import { ehloReply } from "./ehlo-reply.ts";
import {
  type ArgumentsSetting,
  beginsWith,
  type MailArguments,
  mailArguments,
  type Refused,
  rcptArguments,
  vrfyArguments,
} from "./envelope-arguments.ts";
import { Patience } from "./patience.ts";
import type { Client, IntakeResult, RecipientFacts, Transaction, TransactionRecipient } from "./ports.ts";
import { bareForm, type RefusalSetting, recipientRefusal } from "./refusal.ts";
import { isNonSmtp, isNoop, junkVerbs, knownVerbs, lastVerbs } from "./verbs.ts";
import { escaped, logs, printable, replies } from "./words.ts";

/** What the driver does next. Texts are without their final CRLF; several lines have CRLF between them. */
export type Action =
  /** Say it, and go on with the next command. */
  | { readonly kind: "reply"; readonly text: string }
  /** Find out what this recipient is, and tell checked(). */
  | { readonly kind: "check"; readonly recipient: string; readonly sender: string }
  /** Say it, then read the message for this transaction, then tell finished(). */
  | { readonly kind: "data"; readonly text: string; readonly transaction: Transaction }
  /** Say it and close. */
  | { readonly kind: "end"; readonly text: string };

/** What all sessions of one service share. */
export interface DialogueSetting extends RefusalSetting {
  /** The service's name, for the log. */
  readonly service: string;
  nextId(): string;
  freeSpace(): boolean;
  now(): number;
}

/** What is special to one session. */
export interface DialogueClient {
  readonly client: Client;
  /** permit_mynetworks applies. */
  readonly inMynetworks: boolean;
  /** smtpd_forbid_bare_newline_exclusions. */
  readonly mayBareLf: boolean;
  /** One more message or recipient; the number in this time unit, 0 where no limit applies. */
  count(event: "message" | "recipient"): number;
  /** What the client has sent behind the line in hand. */
  following(): Buffer | undefined;
}

/** A transaction that has begun. */
interface Open extends Readonly<MailArguments> {
  arrival_ms: number;
  id: string;
  readonly recipients: TransactionRecipient[];
}

export class Dialogue {
  readonly counts = new CommandCounts();
  readonly #setting: DialogueSetting;
  readonly #conf: DialogueSetting["conf"];
  readonly #own: DialogueClient;
  readonly #client: Client;
  readonly #log: Log;
  readonly #discard: ReadonlySet<string>;
  readonly #arguments: ArgumentsSetting;
  readonly #patience: Patience;
  #where = "CONNECT";
  #helo = "";
  #protocol: "SMTP" | "ESMTP" = "SMTP";
  #open: Open | undefined;
  #outOfStep = false;
  #checking: { recipient: TransactionRecipient; vrfy: string | undefined } | undefined;

  constructor(setting: DialogueSetting, own: DialogueClient, log: Log) {
    this.#setting = setting;
    this.#conf = setting.conf;
    this.#own = own;
    this.#client = own.client;
    this.#log = log;
    this.#discard = new Set(setting.conf.smtpd_discard_ehlo_keywords);
    const { smtputf8_enable, strict_rfc821_envelopes: strict } = setting.conf;
    const smtputf8 = smtputf8_enable && !this.#discard.has("smtputf8");
    this.#arguments = { offers: { smtputf8, dsn: !this.#discard.has("dsn") }, strict };
    this.#patience = new Patience(setting.conf);
  }

  /** The last thing that the client got right, for "lost connection after …". */
  get where(): string {
    return this.#where;
  }

  /** The queue id once there is one, or "NOQUEUE". */
  get queueId(): string {
    return this.#open?.id || "NOQUEUE";
  }

  /** Nothing would be lost by ending the session here. */
  get idle(): boolean {
    return this.#open === undefined;
  }

  /** The client has made so many errors that its replies are held back. */
  get slow(): boolean {
    return this.#patience.slow;
  }

  greet(): Action {
    if (this.#speaksTooEarly()) return this.#end(replies.outOfStep);
    return this.#reply(replies.greeting(this.#conf.smtpd_banner));
  }

  /** A line longer than line_length_limit; `begin` is what was kept of it. */
  tooLong(begin: string): Action {
    this.#log.warning(logs.tooLong(this.#client, this.#conf.line_length_limit, printable(begin)));
    return this.#fail(replies.tooLong(this.#conf.myhostname));
  }

  /** One command line, without its end. `undefined`: it was not UTF-8. */
  line(text: string | undefined, bareLf: boolean): Action {
    if (bareLf && this.#refusesBareLf) {
      this.#logReject(replies.bareLf(this.#conf.smtpd_forbid_bare_newline_reject_code, this.#conf.myhostname));
      return this.#end(this.bareLfReply);
    }
    if (text === undefined) return this.#unknown(replies.badUtf8);
    const command = parseCommand(text);
    if (command.verb === "") return this.#unknown(replies.badSyntax);
    if (isNoop(command.verb, this.#conf)) {
      this.#patience.junk();
      return this.#settled(this.#reply(replies.ok));
    }
    if (!knownVerbs.has(command.verb)) return this.#unknownCommand(command.verb, text);
    return this.#knownCommand(command);
  }

  get #refusesBareLf(): boolean {
    return this.#conf.smtpd_forbid_bare_newline === "reject" && !this.#own.mayBareLf;
  }

  /** The reply to a message in which a line ended without CR, if that is refused. */
  get bareLfReply(): string {
    return replies.bareLf(this.#conf.smtpd_forbid_bare_newline_reject_code, this.#conf.myhostname);
  }

  /** What became of the recipient of the last "check"; undefined: nobody can tell at the moment. */
  checked(facts: RecipientFacts | undefined): Action {
    const checking = this.#checking;
    if (!checking) throw new Error("no recipient is being checked");
    this.#checking = undefined;
    const address = checking.recipient.address;
    const refusal = facts ? this.#refusal(address, facts) : replies.lookupFailure(bareForm(address));
    const name = checking.vrfy === undefined ? "rcpt" : "vrfy";
    if (refusal !== undefined) {
      this.#logReject(refusal, undefined, address);
      return this.#settled(this.#fail(refusal));
    }
    if (checking.vrfy !== undefined) {
      this.counts.succeeded(name);
      return this.#settled(this.#reply(replies.vrfy(checking.vrfy)));
    }
    this.#accept(checking.recipient);
    this.counts.succeeded(name);
    return rcptOk;
  }

  #accept(recipient: TransactionRecipient): void {
    const open = this.#open;
    if (!open) throw new Error("a recipient without a transaction");
    if (open.id === "") {
      open.id = this.#setting.nextId();
      this.#log.info(logs.taken(open.id, this.#client));
    }
    open.recipients.push(recipient);
  }

  /** The whole message came. What became of it, or a reply of the driver's own; the session goes on. */
  finished(result: IntakeResult | string): Action {
    this.#where = "END-OF-MESSAGE";
    this.#reset();
    if (typeof result !== "string" && result.kind === "queued") {
      this.#patience.delivered();
      this.counts.succeeded("data");
      return this.#reply(replies.queued(result.id));
    }
    return this.#settled(this.#fail(typeof result === "string" ? result : written(result.reply)));
  }

  /** A message with a bare LF that is refused. */
  refuseBareLf(): Action {
    this.#where = "END-OF-MESSAGE";
    this.#logReject(this.bareLfReply);
    return this.finished(this.bareLfReply);
  }

  /** `smtpd_forbid_bare_newline = reject` applies to this client. */
  get refusesBareLf(): boolean {
    return this.#refusesBareLf;
  }

  // Commands

  #knownCommand(command: CommandLine): Action {
    const name = command.verb.toLowerCase() as CommandName;
    this.counts.tried(name);
    this.#where = command.verb;
    if ((this.#protocol !== "ESMTP" || lastVerbs.has(command.verb)) && this.#speaksTooEarly()) {
      return this.#end(replies.outOfStep);
    }
    const { errors } = this.#patience;
    const action = this.#run(command);
    const decided = action.kind === "reply" || action.kind === "end";
    if (decided && this.#patience.errors === errors) this.counts.succeeded(name);
    if (junkVerbs.has(command.verb)) this.#patience.junk();
    return decided ? this.#settled(action) : action;
  }

  #run(command: CommandLine): Action {
    switch (command.verb) {
      case "HELO":
        return this.#hello(command, "SMTP");
      case "EHLO":
        return this.#hello(command, "ESMTP");
      case "MAIL":
        return this.#mail(command);
      case "RCPT":
        return this.#rcpt(command);
      case "DATA":
        return this.#data(command);
      case "RSET":
        if (command.words.length > 0) return this.#fail(replies.rsetSyntax);
        this.#reset();
        return this.#reply(replies.ok);
      case "NOOP":
        return this.#reply(replies.ok);
      case "VRFY":
        return this.#vrfy(command);
      case "HELP":
        return this.#reply(replies.help);
      case "QUIT":
        return this.#end(replies.bye);
      case "AUTH":
        return this.#fail(replies.authDisabled);
      case "XCLIENT":
      case "XFORWARD":
        return this.#fail(replies.notAuthorised);
      case "STARTTLS":
        return this.#fail(command.words.length > 0 ? replies.startTlsSyntax : replies.notImplemented);
      default:
        return this.#fail(replies.notImplemented);
    }
  }

  #hello(command: CommandLine, protocol: "SMTP" | "ESMTP"): Action {
    if (command.words.length === 0) {
      return this.#fail(protocol === "SMTP" ? replies.heloSyntax : replies.ehloSyntax);
    }
    this.#reset();
    this.#helo = printable(command.words.join(" ")).replace(/[ <>()\\";@]/g, "?");
    // HELO after EHLO does not take PIPELINING back from a client that was offered it.
    if (protocol === "ESMTP") this.#protocol = protocol;
    if (protocol === "SMTP") return this.#reply(`250 ${this.#conf.myhostname}`);
    if (this.#discard.size > 0 && !this.#discard.has("silent-discard"))
      this.#log.info(logs.discarding([...this.#discard].join(", ")));
    return this.#reply(ehloReply(this.#conf, this.#discard));
  }

  #mail(command: CommandLine): Action {
    if (this.#conf.smtpd_helo_required && this.#helo === "") return this.#fail(replies.heloFirst);
    if (this.#open) return this.#fail(replies.nestedMail);
    if (!beginsWith("from:", command)) return this.#fail(replies.mailSyntax);
    const rate = this.#own.count("message");
    if (rate > this.#conf.smtpd_client_message_rate_limit) {
      this.#log.warning(logs.messageRate(rate, this.#client, this.#setting.service));
      return this.#fail(replies.tooMuchMail(this.#client));
    }
    const said = mailArguments(command, this.#arguments);
    if ("refused" in said) return this.#refuse(said);
    return this.#admit({ ...said, arrival_ms: 0, id: "", recipients: [] });
  }

  #admit(open: Open): Action {
    const limit = this.#conf.message_size_limit;
    if (limit > 0 && open.declaredSize_bytes > limit) {
      this.#logReject(replies.tooLarge, open.sender);
      return this.#fail(replies.tooLarge);
    }
    if (!this.#setting.freeSpace()) {
      this.#logReject(replies.noSpace);
      this.#log.warning(logs.noSpace(limit));
      return this.#fail(replies.noSpace);
    }
    open.arrival_ms = this.#setting.now();
    this.#open = open;
    return mailOk;
  }

  #rcpt(command: CommandLine): Action {
    const open = this.#open;
    if (!open) return this.#fail(replies.needMail);
    if (!beginsWith("to:", command)) return this.#fail(replies.rcptSyntax);
    const limited = this.#recipientRate();
    if (limited) return limited;
    const recipient = rcptArguments(command, open.smtputf8, this.#arguments);
    if ("refused" in recipient) return this.#refuse(recipient);
    const limit = this.#conf.smtpd_recipient_limit;
    if (limit > 0 && open.recipients.length >= limit) {
      return this.#patience.overshoot()
        ? this.#reply(replies.tooManyRecipients)
        : this.#fail(replies.tooManyRecipients);
    }
    this.#checking = { recipient, vrfy: undefined };
    return { kind: "check", recipient: recipient.address, sender: open.sender };
  }

  #recipientRate(): Action | undefined {
    const rate = this.#own.count("recipient");
    if (rate <= this.#conf.smtpd_client_recipient_rate_limit) return undefined;
    this.#log.warning(logs.recipientRate(rate, this.#client, this.#setting.service));
    return this.#fail(replies.tooManyFrom(this.#client));
  }

  #data(command: CommandLine): Action {
    const open = this.#open;
    if (!open) return this.#fail(replies.needRcpt);
    // In a pipelined group DATA follows although every recipient was refused: no error of the client's, but no success.
    if (open.recipients.length === 0) return this.#fail(replies.noRecipients);
    if (command.words.length > 0) return this.#fail(replies.dataSyntax);
    const { id, arrival_ms, sender, recipients, smtputf8, body, declaredSize_bytes, envid, ret } = open;
    return {
      kind: "data",
      text: replies.startData,
      transaction: {
        id,
        arrival_ms,
        sender,
        recipients,
        client: this.#client,
        helo: this.#helo,
        protocol: this.#protocol,
        smtputf8,
        body,
        declaredSize_bytes,
        envid,
        ret,
        saslUsername: "",
      },
    };
  }

  #vrfy(command: CommandLine): Action {
    if (this.#conf.disable_vrfy_command) return this.#fail(replies.vrfyDisabled);
    const asked = vrfyArguments(command, replies.vrfySyntax(this.#conf.smtputf8_enable), this.#arguments);
    if ("refused" in asked && asked.illegal === undefined) return this.#fail(asked.refused);
    const limited = this.#recipientRate();
    if (limited) return limited;
    if ("refused" in asked) return this.#refuse(asked);
    const { address, argument } = asked;
    this.#checking = { recipient: { address, notify: undefined, orcpt: undefined }, vrfy: printable(argument) };
    return { kind: "check", recipient: address, sender: this.#open?.sender ?? "" };
  }

  /** The reply that refuses this recipient, or undefined. */
  #refusal(address: string, facts: RecipientFacts): string | undefined {
    return recipientRefusal(address, facts, this.#own.inMynetworks, this.#setting);
  }

  // Replies

  #reply(text: string): Action {
    return { kind: "reply", text: this.#softened(text) };
  }

  #end(text: string): Action {
    return { kind: "end", text: this.#softened(text) };
  }

  #fail(text: string): Action {
    this.#patience.error();
    return this.#reply(text);
  }

  /** Arguments that cannot be taken. */
  #refuse({ refused, illegal }: Refused): Action {
    if (illegal !== undefined) {
      this.#log.warning(logs.badAddress(this.#where, this.#client, printable(illegal)));
    }
    return this.#fail(refused);
  }

  #softened(text: string): string {
    return this.#conf.soft_bounce && text.startsWith("5") ? soften(text) : text;
  }

  /** The client is sent away once it has made too many errors. */
  #settled(action: Action): Action {
    if (action.kind !== "reply" || !this.#patience.exhausted) return action;
    this.#log.info(logs.tooManyErrors(this.#where, this.#client));
    return { kind: "end", text: `${action.text}\r\n${replies.tooManyErrors(this.#conf.myhostname)}` };
  }

  #unknown(text: string): Action {
    this.#where = "UNKNOWN";
    this.counts.tried("unknown");
    return this.#settled(this.#fail(text));
  }

  #unknownCommand(verb: string, text: string): Action {
    if (isNonSmtp(verb, this.#conf)) {
      this.#where = "UNKNOWN";
      this.counts.tried("unknown");
      this.#log.warning(logs.nonSmtp(this.#client, escaped(Buffer.from(text))));
      return this.#end(replies.nonsense);
    }
    return this.#unknown(replies.unknownCommand);
  }

  /** The client has sent something where it had to wait. Told once; true where it is to be sent away. */
  #speaksTooEarly(): boolean {
    if (this.#outOfStep) return false;
    const following = this.#own.following();
    if (!following) return false;
    this.#outOfStep = true;
    this.#log.info(logs.pipelining(this.#where, this.#client, escaped(following.subarray(0, 100))));
    return this.#conf.smtpd_forbid_unauth_pipelining;
  }

  #reset(): void {
    this.#open = undefined;
    this.#patience.transactionOver();
  }

  /** "NOQUEUE: reject: RCPT from h[ip]: 554 5.7.1 …; from=<> to=<> proto=ESMTP helo=<>" */
  #logReject(text: string, sender = this.#open?.sender, recipient = this.#open?.recipients[0]?.address): void {
    let shown = `${this.queueId}: reject: ${this.#where} from ${this.#client.shown}: ${this.#softened(text)};`;
    if (sender !== undefined) shown += ` from=<${sender}>`;
    if (recipient !== undefined) shown += ` to=<${recipient}>`;
    shown += ` proto=${this.#protocol}`;
    if (this.#helo !== "") shown += ` helo=<${this.#helo}>`;
    this.#log.info(shown);
  }
}

const mailOk: Action = { kind: "reply", text: replies.senderOk };
const rcptOk: Action = { kind: "reply", text: replies.recipientOk };

/** soft_bounce: every 5xx becomes 4xx, the enhanced code's class too. */
function soften(text: string): string {
  return `4${text.slice(1, 4)}${text[4] === "5" ? "4" : (text[4] ?? "")}${text.slice(5)}`;
}

function written({ code, enhanced, text }: Reply): string {
  return enhanced === "" ? `${code} ${text}` : `${code} ${enhanced} ${text}`;
}
