import type { Connection } from "../runtime/net.ts";
import { DataCollector } from "./data-collector.ts";
import { parseEnvelopeCommand } from "./envelope-command.ts";
import type { PracticeContext, ReceivedMessage } from "./practice-context.ts";
import type { ScriptedAction } from "./script.ts";
import { type ServerExchange, type ServerStep, serverMechanisms } from "./server-mechanisms.ts";

/** A command line longer than this ends the session. */
const commandLine_bytes = 64 * 1024;

/** Recipients of one message. */
const recipients_most = 1000;

interface Transaction {
  readonly sender: string;
  readonly mailParameters: string;
  readonly recipients: string[];
  readonly rcptParameters: string[];
}

/** Commands for which a script's own words of success still have the ordinary effect. */
const withEffect = new Set(["EHLO", "HELO", "MAIL", "RCPT", "DATA", "DOT", "RSET"]);

/**
 * One connection to the practice server: the greeting, then commands by line,
 * after DATA a message, within AUTH responses. Nothing is read while something
 * takes its time. Replies to what arrived together leave in one write.
 */
export class PracticeSession {
  readonly #connection: Connection;
  readonly #number: number;
  readonly #context: PracticeContext;
  readonly #gone: () => void;
  readonly #occurrences = new Map<string, number>();
  /** Set between DATA and the final dot. */
  #data: DataCollector | undefined;
  /** What has to be over before more is read: pauses, handshakes, key derivations. */
  #waiting = 0;
  #stopped = false;
  #buffer: Buffer = Buffer.alloc(0);
  #replies = "";
  #secured = false;
  #username: string | undefined;
  #helo = "";
  #transaction: Transaction | undefined;
  #exchange: ServerExchange | undefined;

  constructor(connection: Connection, number: number, context: PracticeContext, gone: () => void) {
    this.#connection = connection;
    this.#number = number;
    this.#context = context;
    this.#gone = gone;
  }

  begin(): void {
    this.#connection.listen({
      data: (bytes) => this.#arrived(bytes),
      ended: () => this.#connection.end(),
      drained: () => {},
      closed: () => this.#gone(),
    });
    if (this.#context.wrapper) this.#secure(() => this.#greet());
    else this.#greet();
  }

  #greet(): void {
    this.#moment("CONNECT", "", () => `220 ${this.#context.name} ESMTP practice server`);
    this.#flush();
  }

  #arrived(bytes: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    this.#proceed();
  }

  /** Works off what has arrived, as far as it goes. */
  #proceed(): void {
    while (this.#waiting === 0 && !this.#stopped && this.#buffer.length > 0) {
      if (!(this.#data ? this.#takeData(this.#data) : this.#takeLine())) break;
    }
    this.#flush();
  }

  #takeLine(): boolean {
    const end = this.#buffer.indexOf(10);
    if (end < 0) {
      if (this.#buffer.length <= commandLine_bytes) return false;
      this.#stop("500 5.5.2 line too long");
      return false;
    }
    const line = this.#buffer.subarray(0, end).toString("utf8").replace(/\r$/, "");
    this.#buffer = this.#buffer.subarray(end + 1);
    this.#context.noted(`${this.#number}: ${line}`);
    if (this.#exchange) this.#moment("RESPONSE", line, () => this.#onResponse(line));
    else this.#onCommand(line);
    return true;
  }

  #takeData(collector: DataCollector): boolean {
    const taken = collector.take(this.#buffer);
    this.#buffer = taken?.rest ?? Buffer.alloc(0);
    if (!taken) {
      if (collector.size_bytes > this.#context.sizeLimit_bytes * 2 + commandLine_bytes)
        this.#stop("552 5.3.4 message too big");
      return false;
    }
    this.#data = undefined;
    const transaction = this.#transaction;
    this.#transaction = undefined;
    this.#moment("DOT", "", () => this.#onMessage(transaction, taken.data));
    return true;
  }

  #onMessage(transaction: Transaction | undefined, data: Buffer): string {
    if (!transaction) return "503 5.5.1 no transaction";
    if (data.length > this.#context.sizeLimit_bytes) return "552 5.3.4 message too big";
    const message: ReceivedMessage = {
      ...transaction,
      data,
      helo: this.#helo,
      username: this.#username,
      secured: this.#secured,
      connection: this.#number,
    };
    this.#context.received(message);
    return "250 2.0.0 Ok: taken";
  }

  #onCommand(line: string): void {
    const [, word = "", argument = ""] = /^(\S*)\s*(.*)$/s.exec(line) ?? [];
    const verb = word.toUpperCase();
    this.#moment(verb, argument, () => this.#answer(verb, argument));
  }

  #answer(verb: string, argument: string): string {
    switch (verb) {
      case "EHLO":
      case "HELO":
        return this.#onHello(verb, argument);
      case "STARTTLS":
        return this.#onStartTls();
      case "AUTH":
        return this.#onAuth(argument);
      case "MAIL":
        return this.#onMail(argument);
      case "RCPT":
        return this.#onRcpt(argument);
      case "DATA":
        return this.#onData();
      case "RSET":
        this.#transaction = undefined;
        return "250 2.0.0 Ok";
      case "NOOP":
        return "250 2.0.0 Ok";
      case "QUIT":
        this.#stop("221 2.0.0 Bye");
        return "";
      default:
        return "502 5.5.2 command not known here";
    }
  }

  #onHello(verb: string, argument: string): string {
    const { name, extensions, certificate, mechanisms, requireTls } = this.#context;
    this.#helo = argument;
    this.#transaction = undefined;
    if (verb === "HELO") return `250 ${name}`;
    const lines = [name, ...extensions];
    if (certificate && !this.#secured) lines.push("STARTTLS");
    if ((this.#secured || !requireTls) && mechanisms.length > 0) lines.push(`AUTH ${mechanisms.join(" ")}`);
    return lines.map((line, index) => `250${index < lines.length - 1 ? "-" : " "}${line}`).join("\r\n");
  }

  #onStartTls(): string {
    if (!this.#context.certificate) return "502 5.5.1 no TLS here";
    if (this.#secured) return "503 5.5.1 TLS is on already";
    this.#reply("220 2.0.0 go ahead");
    this.#flush();
    if (this.#buffer.length > 0) {
      this.#stop("");
      return "";
    }
    this.#helo = "";
    this.#username = undefined;
    this.#transaction = undefined;
    this.#secure(() => {});
    return "";
  }

  #secure(then: () => void): void {
    const { certificate } = this.#context;
    if (!certificate) {
      this.#connection.destroy();
      return;
    }
    this.#wait(
      this.#connection.acceptTls(certificate).then(
        () => {
          this.#secured = true;
          then();
        },
        () => this.#connection.destroy(),
      ),
    );
  }

  #onAuth(argument: string): string {
    const { mechanisms, requireTls, name, runtime, users } = this.#context;
    const [word = "", initial] = argument.split(" ");
    const mechanism = serverMechanisms[word.toUpperCase()];
    if (requireTls && !this.#secured) return "530 5.7.0 Must issue a STARTTLS command first";
    if (this.#username !== undefined) return "503 5.5.1 already logged in";
    if (!mechanism || !mechanisms.some((each) => each.toUpperCase() === word.toUpperCase())) {
      return "504 5.5.4 mechanism not known here";
    }
    const password = (user: string) => (Object.hasOwn(users, user) ? users[user] : undefined);
    this.#exchange = mechanism({ password, name, random: runtime.random, crypto: runtime.crypto });
    if (initial === undefined) return this.#stepped(this.#exchange(undefined));
    return this.#onResponse(initial === "=" ? "" : initial);
  }

  #onResponse(line: string): string {
    if (line === "*" || !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(line)) {
      this.#exchange = undefined;
      return line === "*" ? "501 5.7.0 cancelled" : "501 5.5.2 not base64";
    }
    return this.#exchange ? this.#stepped(this.#exchange(Buffer.from(line, "base64"))) : "";
  }

  #stepped(step: ServerStep | Promise<ServerStep>): string {
    if (step instanceof Promise) {
      this.#wait(step.then((done) => this.#reply(this.#stepped(done))));
      return "";
    }
    if (step.kind === "challenge") return `334 ${step.bytes.toString("base64")}`;
    this.#exchange = undefined;
    if (step.kind === "refused") return "535 5.7.8 authentication failed";
    if (step.kind !== "accepted") return "501 5.5.2 malformed response";
    this.#username = step.username;
    return "235 2.7.0 Authentication successful";
  }

  #onMail(argument: string): string {
    const { requireTls, requireAuth, certificate } = this.#context;
    if (!this.#helo) return "503 5.5.1 send EHLO first";
    if (requireTls && certificate && !this.#secured) return "530 5.7.0 Must issue a STARTTLS command first";
    if (requireAuth && this.#username === undefined) return "530 5.7.0 Authentication required";
    if (this.#transaction) return "503 5.5.1 nested MAIL command";
    const mail = parseEnvelopeCommand("FROM", argument);
    if (!mail) return "501 5.5.4 write MAIL FROM:<address>";
    const { address: sender, parameters: mailParameters } = mail;
    const [, size] = /(?:^| )SIZE=(\d+)/i.exec(mailParameters) ?? [];
    if (Number(size ?? 0) > this.#context.sizeLimit_bytes) return "552 5.3.4 message too big";
    this.#transaction = { sender, mailParameters, recipients: [], rcptParameters: [] };
    return "250 2.1.0 Ok";
  }

  #onRcpt(argument: string): string {
    if (!this.#transaction) return "503 5.5.1 send MAIL first";
    const rcpt = parseEnvelopeCommand("TO", argument);
    if (!rcpt?.address) return "501 5.5.4 write RCPT TO:<address>";
    if (this.#transaction.recipients.length >= recipients_most) return "452 4.5.3 too many recipients";
    this.#transaction.recipients.push(rcpt.address);
    this.#transaction.rcptParameters.push(rcpt.parameters);
    return "250 2.1.5 Ok";
  }

  #onData(): string {
    if (!this.#transaction) return "503 5.5.1 send MAIL first";
    if (this.#transaction.recipients.length === 0) return "554 5.5.1 no valid recipients";
    this.#data = new DataCollector();
    return "354 end with <CR><LF>.<CR><LF>";
  }

  /** Asks the script first. */
  #moment(verb: string, argument: string, ordinary: () => string): void {
    const occurrence = (this.#occurrences.get(verb) ?? 0) + 1;
    this.#occurrences.set(verb, occurrence);
    const state = { connection: this.#number, secured: this.#secured, username: this.#username };
    const action = this.#context.script({ verb, argument, occurrence, ...state });
    if (action) this.#act(verb, action, ordinary);
    else this.#reply(ordinary());
  }

  #act(verb: string, action: ScriptedAction, ordinary: () => string): void {
    if ("delay_ms" in action) {
      const { after, delay_ms } = action;
      const paused = new Promise<void>((resolve) => this.#context.runtime.clock.after(delay_ms, resolve));
      this.#wait(paused.then(() => (after ? this.#act(verb, after, ordinary) : this.#reply(ordinary()))));
      return;
    }
    if ("reply" in action) {
      if (withEffect.has(verb) && /^[23]/.test(action.reply)) ordinary();
      this.#reply(action.reply);
      return;
    }
    this.#flush();
    if (action.raw !== undefined) this.#connection.write(action.raw);
    if ("drop" in action) this.#stop("");
    else if ("hang" in action) this.#stopped = true;
  }

  /** Reads nothing until it is done. */
  #wait(done: Promise<void>): void {
    this.#waiting++;
    void done.then(() => {
      this.#waiting--;
      this.#proceed();
    });
  }

  /** "": there is nothing to say. */
  #reply(lines: string): void {
    if (lines) this.#replies += `${lines}\r\n`;
  }

  #flush(): void {
    if (this.#replies) this.#connection.write(this.#replies);
    this.#replies = "";
  }

  /** The last words, and the end. */
  #stop(words: string): void {
    this.#reply(words);
    this.#flush();
    this.#stopped = true;
    this.#connection.end();
  }
}
