/**
 * Cleanup: what came in becomes a message for the queue. It gets a Received:
 * header and whatever headers it lacks, loses what must not go on, its
 * addresses are made canonical, and its recipients replaced by their aliases.
 *
 * begin() -> data()* -> finish() or abandon(). Nothing is durable before the
 * caller has given the result to QueueStore.accept.
 *
 * Invariants
 *  1. Each recipient ends in some message of the result, or nothing does.
 *  2. What is not changed goes on byte for byte.
 *  3. Memory is bounded: a block of header, or a chunk of body, never the message.
 *  4. After a failure, data() does nothing and finish() gives the reply.
 *
 * A table that cannot be read, or aliases without end, give 451: the client
 * tries again, and a maildrop file stays. Never throws for what a message holds.
 */
import { isAscii } from "node:buffer";
import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { Log } from "../log/log.ts";
import type { NewEnvelope, Origin } from "../queue/message.ts";
import { type BodyWriter, type NewMessage, QueueError, type QueueStore } from "../queue/store.ts";
import { type Reply, reply } from "../rfc5321/reply.ts";
import { DateText, formatDate } from "../rfc5322/date.ts";
import { headerLines } from "../rfc5322/header-lines.ts";
import { octets } from "../rfc5322/octets.ts";
import { chain } from "../routing/answer.ts";
import type { Canonical } from "../routing/canonical.ts";
import type { Router } from "../routing/resolve.ts";
import { ExpansionError } from "../routing/virtual-aliases.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Answer } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { BodyAssembly } from "./body-assembly.ts";
import { CheckedIntake } from "./checked-intake.ts";
import type { ContentRules } from "./content-rules.ts";
import { type CleanupRecipient, Envelopes, type PlannedEnvelope } from "./envelopes.ts";
import { HeaderAddresses } from "./header-addresses.ts";
import { HeaderIntake } from "./header-intake.ts";
import { type HeaderRules, type HeaderSubject, HeaderWork } from "./header-work.ts";
import { LineEnds } from "./line-ends.ts";
import type { cleanupParams } from "./params.ts";
import { isMailerDaemon, type Received, receivedHeader } from "./received.ts";

export type CleanupConf = Values<typeof cleanupParams> &
  Pick<
    Values<typeof globalParams>,
    "myhostname" | "mail_name" | "header_size_limit" | "message_size_limit" | "smtputf8_enable" | "line_length_limit"
  > & { readonly empty_address_recipient: string };

export interface CleanupOptions {
  readonly conf: CleanupConf;
  readonly router: Router;
  readonly store: Pick<QueueStore, "beginBody" | "nextId">;
  readonly clock: Pick<Clock, "zoneOffset_min">;
  /** Already under the name "cleanup". */
  readonly log: Log;
  /** What header_checks and their like come to; undefined where nothing asks for a look at the content. */
  readonly content?: ContentRules | undefined;
}

export interface CleanupInput {
  readonly id: string;
  readonly arrival_ms: number;
  readonly origin: Origin;
  readonly received: Received;
  /** Without brackets; "" is the null sender. */
  readonly sender: string;
  readonly recipients: readonly CleanupRecipient[];
  /** The client is one of LocalClients. True for local submission and notifications. May reject with a TableError. */
  readonly local: Answer<boolean>;
  /** For a From: that is missing. */
  readonly fullName?: string;
  /** SMTPUTF8 was declared. */
  readonly smtputf8: boolean;
  readonly envid: string | undefined;
  readonly ret: "FULL" | "HDRS" | undefined;
  /** Its content is not to be checked (receive_override_options). */
  readonly unchecked?: boolean;
  /** Its addresses are not to be replaced by others (the same). */
  readonly unmapped?: boolean;
  /** Where all its recipients go first: content_filter. A check's FILTER takes its place. */
  readonly filter?: string | undefined;
}

/**
 * messages   for QueueStore.accept; several where recipients behind lists with an owner get another sender
 * discarded  a check says so: the client is told that it was taken, and nobody gets it
 * reject     nothing may be accepted; what the client is told
 */
export type CleanupResult =
  | { readonly kind: "messages"; readonly messages: readonly [NewMessage, ...NewMessage[]] }
  | { readonly kind: "discarded" }
  | { readonly kind: "reject"; readonly reply: Reply };

/** One for a relay; it holds no message. */
export class Cleanup {
  readonly #options: CleanupOptions;
  readonly #rules: HeaderRules;
  readonly #addresses: AddressesByInput;
  readonly #dates = new DateText();

  constructor(options: CleanupOptions) {
    this.#options = options;
    const { conf } = options;
    this.#addresses = headerAddresses(options);
    this.#rules = {
      drop: new Set(conf.message_drop_headers.map((name) => name.toLowerCase())),
      fieldLimit_bytes: conf.header_size_limit,
      myhostname: conf.myhostname,
      undisclosedHeader: conf.undisclosed_recipients_header,
      fromFormat: conf.header_from_format,
    };
  }

  /** A header field of addresses as it is written in mail from this host, in lines. Throws, or rejects with, a TableError. */
  addressField(name: string, value: string): Answer<readonly string[]> {
    const bytes = octets(value);
    return chain(this.#addresses.mapped.local.rewrite(name, bytes), (rewritten) => {
      const written = headerLines(rewritten ?? `${name}: ${bytes}`, this.#rules.fieldLimit_bytes);
      return written.toString().trimEnd().split("\r\n");
    });
  }

  begin(input: CleanupInput): CleanupMessage {
    return new CleanupMessage(input, this.#options, this.#rules, this.#addresses, this.#dates);
  }
}

/** What becomes of addresses in headers; undefined where those of clients elsewhere are left alone. */
interface AddressesByClient {
  readonly local: HeaderAddresses;
  readonly remote: HeaderAddresses | undefined;
}

/** The same for mail whose addresses go through the canonical maps, and for other mail. */
interface AddressesByInput {
  readonly mapped: AddressesByClient;
  readonly unmapped: AddressesByClient;
}

function headerAddresses({ router, conf }: CleanupOptions): AddressesByInput {
  const { rewriter, remoteRewriter, canonicalMaps } = router;
  const tokenLimit = conf.header_address_token_limit;
  const byClient = (canonical: Pick<Canonical, "steps">): AddressesByClient => ({
    local: new HeaderAddresses({ rewriter, canonical, tokenLimit }),
    remote: remoteRewriter && new HeaderAddresses({ rewriter: remoteRewriter, canonical, tokenLimit }),
  });
  return { mapped: byClient(canonicalMaps), unmapped: byClient({ steps: () => [] }) };
}

const newline = 10;
const lineEnd = Buffer.from("\r\n");

/** One message on its way through; made by Cleanup.begin. */
export class CleanupMessage {
  readonly #input: CleanupInput;
  readonly #options: CleanupOptions;
  /** Complete when the tables have answered; before that, nothing of the text is worked on. */
  readonly #subject: { -readonly [Name in keyof HeaderSubject]: HeaderSubject[Name] };
  readonly #envelopes: Envelopes;
  readonly #work: HeaderWork;
  readonly #header: HeaderIntake;
  readonly #body: BodyAssembly;
  readonly #lineEnds: LineEnds | undefined;
  /** Of a message whose content is checked; it passes through this whole. */
  #checked: CheckedIntake | undefined;
  #failed: Reply | undefined;
  /** The step that waits for a table or the store. */
  #pending: Promise<void> | undefined;
  #taken_bytes = 0;
  #headerEnd_bytes = 0;
  #eightBit = false;

  constructor(
    input: CleanupInput,
    options: CleanupOptions,
    rules: HeaderRules,
    addresses: AddressesByInput,
    dates: DateText,
  ) {
    const { conf, router, clock, log, store } = options;
    const { id, arrival_ms, local, fullName = "", recipients, origin } = input;
    this.#input = input;
    this.#options = options;
    const sender = this.#findSender();
    // Nobody may ever ask for it, where the message is refused before.
    if (sender instanceof Promise) sender.catch(() => {});
    const unmapped = input.unmapped === true;
    this.#envelopes = new Envelopes({
      ...{ id, sender, recipients, router, log, unmapped, nextId: () => store.nextId() },
      emptyRecipient: conf.empty_address_recipient,
      copies: origin.service !== "bounce" && !unmapped,
      duplicates: { byOriginal: conf.enable_original_recipient, limit: conf.duplicate_filter_limit },
    });
    const fromProgram = origin.service === "pickup";
    this.#lineEnds = fromProgram ? new LineEnds() : undefined;
    this.#body = new BodyAssembly(async () => (await this.#envelopes.all()).map(() => store.beginBody()));
    const date = () => dates.of(arrival_ms, clock.zoneOffset_min(arrival_ms));
    this.#subject = { id, arrival_ms, addresses: undefined, complete: false, sender: "", fullName, date };
    this.#work = new HeaderWork(rules, this.#subject, log);
    this.#header = new HeaderIntake({
      work: this.#work,
      fieldLimit_bytes: rules.fieldLimit_bytes,
      mailboxLines: fromProgram ? "drop" : "keep",
      out: (piece) => this.#body.add(piece),
      endOfFields: () => this.#endHeader(),
    });
    const own = this.#ownReceived(date);
    this.#next(() => chain(local, (isLocal) => this.#setUp(isLocal, unmapped ? addresses.unmapped : addresses.mapped)));
    this.#next(() =>
      chain(sender, (found) => {
        this.#subject.sender = found;
      }),
    );
    if (options.content && !input.unchecked) this.#beginChecks(options.content, own);
    else {
      this.#noteBytes(own);
      this.#body.add(own);
    }
  }

  #setUp(isLocal: boolean, addresses: AddressesByClient): void {
    const rewriting = isLocal ? addresses.local : addresses.remote;
    this.#subject.addresses = rewriting;
    this.#subject.complete = rewriting !== undefined || this.#options.conf.always_add_missing_headers;
  }

  /** From here on everything passes through the checks, our own Received: header first. */
  #beginChecks(rules: ContentRules, own: Buffer): void {
    const checked = new CheckedIntake({
      ...{ rules, id: this.#input.id, origin: this.#input.origin, work: this.#work, log: this.#options.log },
      sender: () => this.#subject.sender,
      recipient: () => this.#envelopes.lastGiven,
      mailboxLines: this.#lineEnds ? "drop" : "keep",
      out: (piece) => {
        if (this.#failed) return;
        this.#noteBytes(piece);
        this.#body.add(piece);
      },
      endOfField: () => this.#checkHops(),
      endOfHeader: () => this.#endHeader(),
      fail: (answer) => this.#fail(answer),
    });
    this.#checked = checked;
    this.#next(() => checked.begin(own));
  }

  /**
   * The next piece of the text, header first. From smtpd and bounce with CRLF
   * line ends alone; from pickup with any. It is kept, and must not be
   * overwritten. A promise asks the caller to wait for the store, or for a table; it never rejects.
   */
  data(piece: Buffer): void | Promise<void> {
    if (this.#failed || piece.length === 0) return undefined;
    const text = this.#lineEnds?.convert(piece) ?? piece;
    const { message_size_limit } = this.#options.conf;
    this.#taken_bytes += text.length;
    if (message_size_limit > 0 && this.#taken_bytes > message_size_limit && this.#input.origin.service !== "bounce") {
      this.#options.log.warning(`${this.#input.id}: queue file size limit exceeded`);
      this.#fail(reply(552, "5.3.4", "Error: message file too big"));
      return undefined;
    }
    return this.#next(() => chain(this.#text(text), () => this.#body.drain()));
  }

  /** Ends the text. At once for small messages whose tables were in memory; never rejects. */
  finish(): Answer<CleanupResult> {
    const ended = this.#failed ? undefined : this.#next(() => this.#endText());
    return ended ? ended.then(() => this.#conclude()) : this.#conclude();
  }

  /** Forgets the message: the client has gone, or took it back. */
  abandon(): void {
    this.#fail(reply(451, "4.3.0", "Error: message abandoned"));
  }

  /** One step after the other: at once, unless the one before waits for a table or the store. Never throws or rejects. */
  #next(step: () => Answer<void>): void | Promise<void> {
    try {
      const before = this.#pending;
      const answer = before ? before.then(() => (this.#failed ? undefined : step())) : step();
      if (!(answer instanceof Promise)) return undefined;
      const pending = answer
        .catch((error: unknown) => this.#fail(this.#replyTo(error)))
        .finally(() => {
          if (this.#pending === pending) this.#pending = undefined;
        });
      this.#pending = pending;
      return pending;
    } catch (error) {
      this.#fail(this.#replyTo(error));
      return undefined;
    }
  }

  /** Rejects, but does not throw. */
  #findSender(): Answer<string> {
    const { router } = this.#options;
    const written = router.rewriter.rewrite(this.#input.sender);
    const completed = isMailerDaemon(written, router.rewriter) ? "" : written;
    if (this.#input.unmapped) return completed;
    try {
      return router.canonicalMaps.envelope("envelope_sender", completed);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #conclude(): Answer<CleanupResult> {
    if (this.#failed) return { kind: "reject", reply: this.#failed };
    const checks = this.#checked?.checks;
    if (checks?.discarded) {
      this.#body.abandon();
      return { kind: "discarded" };
    }
    if (checks && checks.bcc.size > 0) this.#envelopes.addCopies([...checks.bcc]);
    const planned = this.#envelopes.all();
    if (planned instanceof Promise) return this.#finishLater(planned);
    const body = this.#body.finish();
    if (body instanceof Promise) return this.#finishLater(planned, body);
    return this.#result(planned, body);
  }

  #text(text: Buffer): Answer<void> {
    if (this.#checked) return this.#checked.add(text);
    this.#noteBytes(text);
    if (!this.#header.ended) return chain(this.#header.add(text), () => this.#checkHops());
    this.#body.add(text);
  }

  #noteBytes(text: Buffer): void {
    if (!this.#eightBit && !isAscii(text)) this.#eightBit = true;
  }

  #endText(): Answer<void> {
    const rest = this.#lineEnds?.end();
    const added = rest && rest.length > 0 ? this.#text(rest) : undefined;
    return chain(added, () =>
      chain((this.#checked ?? this.#header).finish(), () => {
        this.#checkHops();
        if (!this.#failed && this.#body.lastByte !== newline) this.#body.add(lineEnd);
      }),
    );
  }

  #checkHops(): void {
    // Our own Received: counts, too, and passes through the checks.
    const own = this.#checked ? 0 : 1;
    if (this.#failed || this.#work.hops + own < this.#options.conf.hopcount_limit) return;
    this.#options.log.warning(`${this.#input.id}: message rejected: hopcount exceeded`);
    this.#fail(reply(554, "5.4.0", "Error: too many hops"));
  }

  #endHeader(): void {
    if (this.#body.lastByte !== newline) this.#body.add(lineEnd);
    const added = this.#work.missing();
    if (added !== "") this.#body.add(Buffer.from(added));
    this.#headerEnd_bytes = this.#body.size_bytes;
  }

  #ownReceived(date: () => string): Buffer {
    const { received, recipients, id, smtputf8 } = this.#input;
    const { conf, clock } = this.#options;
    const { myhostname, mail_name } = conf;
    const recipient = recipients.length === 1 ? recipients[0]?.address : undefined;
    const own = received.kind === "local" ? received.time_ms : undefined;
    const text = receivedHeader(received, {
      ...{ myhostname, mail_name, id, smtputf8, recipient },
      date: own === undefined ? date() : formatDate(own, clock.zoneOffset_min(own)),
    });
    return Buffer.from(text);
  }

  async #finishLater(
    planned: Answer<readonly PlannedEnvelope[]>,
    begun?: Promise<Buffer | readonly BodyWriter[]>,
  ): Promise<CleanupResult> {
    try {
      const envelopes = await planned;
      const body = await (begun ?? this.#body.finish());
      return this.#failed ? { kind: "reject", reply: this.#failed } : this.#result(envelopes, body);
    } catch (error) {
      const answer = this.#failed ?? this.#replyTo(error);
      this.#fail(answer);
      return { kind: "reject", reply: answer };
    }
  }

  #result(envelopes: readonly PlannedEnvelope[], body: Buffer | readonly BodyWriter[]): CleanupResult {
    const planned = this.#redirected(envelopes);
    // With REDIRECT one goes in place of several: what was written for the others is nobody's.
    if (!Buffer.isBuffer(body)) for (const writer of body.slice(planned.length)) writer.abandon();
    const [first, ...others] = planned.map((each, index) => this.#message(each, body, index));
    if (!first) return { kind: "reject", reply: reply(550, "5.1.0", "Error: no recipients specified") };
    return { kind: "messages", messages: [first, ...others] };
  }

  /** REDIRECT: one recipient in place of them all; of the first one, the original address stays. */
  #redirected(envelopes: readonly PlannedEnvelope[]): readonly PlannedEnvelope[] {
    const to = this.#checked?.checks.redirect;
    const [first] = envelopes;
    const [recipient] = first?.recipients ?? [];
    if (to === undefined || !first || !recipient) return envelopes;
    return [{ ...first, recipients: [{ ...recipient, address: this.#options.router.rewriter.rewrite(to) }] }];
  }

  #message(each: PlannedEnvelope, body: Buffer | readonly BodyWriter[], index: number): NewMessage {
    const { arrival_ms, origin, envid, ret } = this.#input;
    const listed = each.owner !== undefined;
    const checks = this.#checked?.checks;
    // Whom a check sends mail to gets it at once.
    const filter = checks?.redirect === undefined ? (checks?.filter ?? this.#input.filter) : undefined;
    const envelope: NewEnvelope = {
      sender: each.owner ?? this.#subject.sender,
      recipients: each.recipients,
      size_bytes: this.#body.size_bytes,
      eightBit: this.#eightBit || this.#work.nonAscii,
      smtputf8: this.#needsUtf8(each),
      envid: listed ? undefined : envid,
      ret: listed ? undefined : ret,
      origin,
      headerEnd_bytes: this.#headerEnd_bytes,
      ...(filter === undefined ? {} : { filter }),
      ...(checks?.held ? { held: true } : {}),
    };
    return { envelope, body: Buffer.isBuffer(body) ? body : (body[index] as BodyWriter), id: each.id, arrival_ms };
  }

  /** SMTPUTF8 (RFC 6531) is passed on where it was asked for, or is assumed for this kind of mail, and is needed. */
  #needsUtf8({ owner, recipients }: PlannedEnvelope): boolean {
    const { smtputf8_enable, smtputf8_autodetect_classes: classes } = this.#options.conf;
    const { service } = this.#input.origin;
    const assumed = classes.includes(service === "pickup" ? "sendmail" : service) || classes.includes("all");
    if (!smtputf8_enable || !(this.#input.smtputf8 || assumed)) return false;
    if (this.#work.nonAscii || !isPlain(owner ?? this.#subject.sender)) return true;
    return recipients.some(({ address }) => !isPlain(address));
  }

  #fail(answer: Reply): void {
    this.#failed ??= answer;
    this.#checked?.checks.stop();
    this.#body.abandon();
  }

  /** Whatever it is, it may be over when the message comes again. */
  #replyTo(error: unknown): Reply {
    const { id } = this.#input;
    const { log } = this.#options;
    if (error instanceof TableError) {
      log.warning(`${id}: ${error.message} -- message not accepted, try again later`);
      return reply(451, "4.3.0", "Error: temporary lookup failure");
    }
    if (error instanceof ExpansionError) {
      log.warning(`${id}: unreasonable ${error.message} -- message not accepted, try again later`);
      return reply(451, "4.6.0", "Alias expansion error");
    }
    if (error instanceof QueueError) {
      log.warning(`${id}: write queue file: ${error.message}`);
      if (error.kind === "full") return reply(452, "4.3.1", "Insufficient system storage");
      return reply(451, "4.3.0", "Error: queue file write error");
    }
    log.error(`${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return reply(451, "4.3.0", "Error: internal error");
  }
}

const isPlain = (text: string): boolean => !/[^\x00-\x7f]/.test(text);
