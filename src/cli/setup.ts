/**
 * `postern setup`: from "mail should go through this provider" to a message that has arrived there. Nothing is
 * written before the login has worked; what is written can be taken back.
 */
import { evaluate } from "../conf/evaluate.ts";
import { type LoadedConf, loadConf } from "../conf/load.ts";
import { ConfError } from "../conf/problem.ts";
import { allParams, relayParams } from "../relay/params.ts";
import { Rewriter } from "../routing/rewrite.ts";
import { errorCode, readWhole } from "../runtime/files.ts";
import { changedMainCf, changedPasswords, type Login, parameterChanges, SetupError } from "../setup/changes.ts";
import { differences } from "../setup/diff.ts";
import { type NewText, readText, undo, writeAll } from "../setup/files.ts";
import { noteFor } from "../setup/provider-notes.ts";
import { findProvider, type Provider, providers } from "../setup/providers.ts";
import { type ServerChoice, type Verified, verifyLogin } from "../setup/verify.ts";
import { parseReference } from "../table/open.ts";
import { tableTypes } from "../table/types.ts";
import { findingText, type ReportOptions, stepText } from "./check-report.ts";
import type { CommandIo } from "./io.ts";
import { paintFor } from "./paint.ts";
import { parseSetup, type SetupOptions, setupUsage } from "./setup-options.ts";

/** sysexits(3), and 1 for a login that does not work or a change that was not wanted. */
const exit = { ok: 0, no: 1, usage: 64, config: 78 } as const;

export async function setup(args: readonly string[], io: CommandIo): Promise<number> {
  const options = parseSetup(args);
  if (typeof options === "string") {
    io.err(`postern setup: ${options}\n${setupUsage}`);
    return exit.usage;
  }
  if (options.help) {
    io.out(setupUsage);
    return exit.ok;
  }
  try {
    if (options.list) return await list(io);
    if (options.undo) return await takeBack(io);
    return await new Setup(options, io).run();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    io.err(`postern setup: ${error.message}\n`);
    return exit.no;
  }
}

async function list(io: CommandIo): Promise<number> {
  const all = await providers();
  const width = Math.max(...all.map(({ name }) => name.length));
  for (const { name, description, host, port } of all)
    io.out(`${name.padEnd(width)}  ${description} (${host}:${port})\n`);
  return exit.ok;
}

async function takeBack(io: CommandIo): Promise<number> {
  const { restored, removed } = await undo(io.runtime, io.directory);
  for (const path of restored) io.out(`put back: ${path}\n`);
  for (const path of removed) io.out(`removed: ${path}\n`);
  for (const path of [...restored, ...removed]) await remakeIndex(path, restored.includes(path), io);
  return reloadIfRunning(io);
}

/** The index of a table that was put back, or of one that has gone. */
async function remakeIndex(path: string, thereAgain: boolean, io: CommandIo): Promise<void> {
  if (path.endsWith("/main.cf")) return;
  if (!thereAgain) {
    for (const ending of [".db", ".lmdb", ".cdb"]) await io.runtime.files.remove(`${path}${ending}`).catch(() => {});
    return;
  }
  const { settings } = await loadConf(io.runtime.files, io.directory, { declared: allParams, host: io.runtime.host });
  const words = settings.value("smtp_sasl_password_maps").split(/[\s,]+/);
  const reference = words.find((each) => each.endsWith(`:${path}`));
  if (reference) await makeIndex(reference, io);
}

/** postmap TYPE:NAME, where the type has an index. */
async function makeIndex(reference: string, io: CommandIo): Promise<void> {
  const { type } = parseReference(reference, "");
  if (!tableTypes.find(({ name }) => name === type)?.index) return;
  const { postmap } = await import("./postmap.ts");
  const status = await postmap(["-c", io.directory, reference], { ...io, args0: "postmap" });
  if (status !== 0) throw new SetupError(`postmap ${reference} failed: run it again when its cause is mended`);
}

async function reloadIfRunning(io: CommandIo): Promise<number> {
  const { isRunning, lifecycle } = await import("./lifecycle.ts");
  if (!(await isRunning(io))) return exit.ok;
  io.out("reloading the mail system that runs\n");
  io.flush();
  return lifecycle("reload", [], io);
}

class Setup {
  readonly #options: SetupOptions;
  readonly #io: CommandIo;

  constructor(options: SetupOptions, io: CommandIo) {
    this.#options = options;
    this.#io = io;
  }

  get #shown(): ReportOptions {
    return { paint: paintFor(this.#io), all: true, dialogue: false };
  }

  async run(): Promise<number> {
    const io = this.#io;
    const loaded = await this.#load();
    const { server, provider } = await this.#server();
    this.#tellAbout(server, provider);
    const username = await this.#account();
    const password = await this.#password();
    const verified = await this.#verify(loaded, { server, username, password });
    if (!verified.ok) return this.#refused(verified);
    io.out(`${paintFor(io).good("the login works")}: ${verified.login.nexthop}\n`);
    // Cron and its like send as root: better known now than from a bounce.
    for (const each of verified.refused) io.out(findingText({ ...each, severity: "warning" }, this.#shown));
    const { texts, reference, delimiter } = await this.#plan(loaded, verified.login);
    if (texts.length > 0) {
      if (!(await this.#agreed(texts, delimiter))) return exit.no;
      if (this.#options["dry-run"]) return exit.ok;
      await writeAll(io.runtime, io.directory, texts, io.runtime.clock.now());
      await makeIndex(reference, io);
      io.out(`written. To take it back: postern${this.#where()} setup --undo\n`);
      const status = await reloadIfRunning(io);
      if (status !== 0) return status;
    } else io.out("nothing has to be changed\n");
    return this.#test(username);
  }

  #where(): string {
    return this.#io.directory === "/etc/postfix" ? "" : ` -c ${this.#io.directory}`;
  }

  async #load(): Promise<LoadedConf> {
    const { files, host, names } = this.#io.runtime;
    const loaded = await loadConf(files, this.#io.directory, { declared: allParams, host, names });
    const missing = loaded.problems.find(({ file, line }) => file.endsWith("/main.cf") && line === 0);
    if (missing) throw new ConfError([missing]);
    return loaded;
  }

  async #server(): Promise<{ server: ServerChoice; provider: Provider | undefined }> {
    const all = await providers();
    const { provider: named, server } = this.#options;
    if (server !== undefined) return { server: parseServer(server), provider: undefined };
    const answer =
      named ??
      (await this.#ask("--provider or --server", "Provider (a name such as Gmail, a mail address, or a server): "));
    const provider = findProvider(all, answer);
    if (provider) {
      const { host, port, wrapper } = provider;
      return { server: { host, port, wrapper }, provider };
    }
    if (named === undefined && answer.includes(".") && !answer.includes("@")) {
      return { server: parseServer(answer), provider: undefined };
    }
    throw new SetupError(
      `no provider of that name is known: ${answer}. postern setup --list shows all; for another one use --server HOST`,
    );
  }

  #tellAbout({ host, port }: ServerChoice, provider: Provider | undefined): void {
    const { out } = this.#io;
    const paint = paintFor(this.#io);
    out(`${paint.strong(provider?.description ?? host)}: ${host}${port === undefined ? "" : `, port ${port}`}\n`);
    const note = noteFor(host);
    if (note?.account) out(`  account:  ${note.account}\n`);
    if (note?.password) out(`  password: ${note.password}\n`);
    if (note?.quota) out(`  quota:    ${note.quota}\n`);
    if (note?.ending)
      out(
        `  ${paint.doubtful(note.ending.state === "ended" ? "no passwords:" : "passwords end:")} ${note.ending.text}\n`,
      );
    this.#io.flush();
  }

  async #account(): Promise<string> {
    return this.#options.account ?? (await this.#ask("--account", "Account (user name): "));
  }

  async #password(): Promise<string> {
    const { "password-file": file, "password-stdin": fromStdin, credential } = this.#options;
    if (file !== undefined) return firstLine(await this.#read(file));
    if (credential !== undefined) {
      const { CREDENTIALS_DIRECTORY } = this.#io.env;
      if (!CREDENTIALS_DIRECTORY)
        throw new SetupError(
          "--credential: CREDENTIALS_DIRECTORY is not set: run this from a systemd unit with LoadCredential=",
        );
      if (!/^[\w.@:-]+$/.test(credential))
        throw new SetupError("--credential takes the name of a credential, not a path");
      return firstLine(await this.#read(`${CREDENTIALS_DIRECTORY}/${credential}`));
    }
    if (fromStdin) {
      const parts: Buffer[] = [];
      for await (const part of this.#io.stdin) parts.push(part);
      return firstLine(Buffer.concat(parts).toString());
    }
    const terminal = this.#io.terminal?.();
    if (!terminal)
      throw new SetupError("there is nobody to ask: name --password-file, --password-stdin or --credential");
    const answer = await terminal.askSecret("Password (it is not shown): ");
    if (answer === undefined) throw new SetupError("interrupted; nothing was written");
    return answer;
  }

  async #read(path: string): Promise<string> {
    try {
      return (await readWhole(this.#io.runtime.files, path, 64 * 1024)).bytes.toString();
    } catch (error) {
      throw new SetupError(`${path} cannot be read: ${errorCode(error) || String(error)}`);
    }
  }

  async #ask(option: string, question: string): Promise<string> {
    const terminal = this.#io.terminal?.();
    if (!terminal) throw new SetupError(`there is nobody to ask: name ${option}`);
    this.#io.flush();
    const answer = (await terminal.ask(question))?.trim();
    if (!answer)
      throw new SetupError(
        answer === undefined ? "interrupted; nothing was written" : "there was no answer; nothing was written",
      );
    return answer;
  }

  async #verify(
    loaded: LoadedConf,
    { server, username, password }: { server: ServerChoice; username: string; password: string },
  ): Promise<Verified> {
    const { "no-verify": unverified, "ca-file": authorities, from, timeout } = this.#options;
    const io = this.#io;
    const conf = evaluate(relayParams, loaded.settings);
    const local = new Rewriter(conf).rewrite("root");
    io.out("logging in, before anything is written:\n");
    io.flush();
    return verifyLogin(io.runtime, {
      ...{ directory: io.directory, env: io.env, server, username, password, authorities },
      level: unverified ? "encrypt" : "secure",
      sender: from ?? (username.includes("@") ? username : local),
      local,
      patience_s: Number(timeout ?? 15) || 15,
      tried: (probe) => {
        if (probe.steps.length + probe.hosts.length > 0) io.out(`${probe.use.nexthop}\n`);
        for (const step of [...probe.steps, ...probe.hosts.flatMap(({ steps }) => steps)])
          io.out(`${stepText(step, this.#shown)}\n`);
        io.flush();
      },
    });
  }

  #refused({ findings }: Extract<Verified, { ok: false }>): number {
    const io = this.#io;
    // What these commands would change is not written yet.
    for (const each of findings) io.out(findingText({ ...each, file: "", line: 0, commands: [] }, this.#shown));
    const untrusted = findings.some(({ code }) => code.startsWith("certificate-"));
    if (untrusted) io.out("For a server of your own: --ca-file with its authority's certificate, or --no-verify.\n");
    if (findings.length === 0)
      io.out("the server takes mail without a login: there is nothing to set up for an account\n");
    io.out("nothing was written\n");
    return exit.no;
  }

  async #plan(
    loaded: LoadedConf,
    login: Login,
  ): Promise<{ texts: readonly NewText[]; reference: string; delimiter: string }> {
    const { runtime, directory } = this.#io;
    const conf = evaluate(relayParams, loaded.settings);
    const reference = tableFor(loaded.settings.value("smtp_sasl_password_maps"), directory, conf.default_database_type);
    const source = parseReference(reference, "").name;
    const delimiter = conf.smtp_sasl_password_result_delimiter.slice(0, 1) || ":";
    const mainCf = `${directory}/main.cf`;
    const before = (await readText(runtime, mainCf)) ?? "";
    const latin1 = (text: string): string => Buffer.from(text).toString("latin1");
    const main = changedMainCf(before, encoded(parameterChanges(loaded.settings, login, reference), latin1));
    const there = await readText(runtime, source);
    const passwords = there ?? "";
    const written = { ...login, username: latin1(login.username), password: latin1(login.password) };
    const table = changedPasswords(passwords, written, delimiter);
    const texts: NewText[] = [];
    if (table !== passwords) texts.push({ path: source, before: there, text: table, secret: true });
    if (main !== before) texts.push({ path: mainCf, before, text: main, secret: false });
    return { texts, reference, delimiter };
  }

  /** Shows what would be written, without passwords, and asks. */
  async #agreed(texts: readonly NewText[], delimiter: string): Promise<boolean> {
    const io = this.#io;
    const paint = paintFor(io);
    for (const { path, text, secret } of texts) {
      io.out(`\n${paint.strong(path)}\n`);
      for (const line of differences((await readText(io.runtime, path)) ?? "", text)) {
        const shown = secret ? withoutPassword(line, delimiter) : Buffer.from(line, "latin1").toString();
        io.out(`  ${shown.startsWith("+") ? paint.good(shown) : shown.startsWith("-") ? paint.bad(shown) : shown}\n`);
      }
    }
    io.out("\n");
    io.flush();
    if (this.#options.yes || this.#options["dry-run"]) return true;
    const terminal = io.terminal?.();
    if (!terminal) throw new SetupError("there is nobody to ask whether to write this: add --yes, or --dry-run");
    const answer = await terminal.ask("Write this? [Y/n] ");
    const yes = answer !== undefined && /^(?:y(?:es)?)?$/i.test(answer.trim());
    if (!yes) io.out("nothing was written\n");
    return yes;
  }

  async #test(username: string): Promise<number> {
    const { "no-test": none, to, from } = this.#options;
    if (none) return exit.ok;
    this.#io.flush();
    const terminal = this.#io.terminal?.();
    const address = to ?? (await terminal?.ask("Send a test message to (an address, or nothing): "))?.trim();
    if (!address) return exit.ok;
    const { attempt } = await import("./try.ts");
    const sender = from ?? (username.includes("@") ? username : undefined);
    return attempt({ address, from: sender, timeout_s: 60 }, this.#io);
  }
}

const firstLine = (text: string): string => text.replace(/\r?\n[\s\S]*$/, "");

function parseServer(text: string): ServerChoice {
  const [, host = "", port] = /^\[?([^\]:]+)\]?(?::(\d+))?$/.exec(text.trim()) ?? [];
  if (host === "") throw new SetupError(`no server: ${text}. Write it as host or host:port`);
  return { host, port: port === undefined ? undefined : Number(port), wrapper: port === "465" };
}

/** The table that main.cf names already, where it is one that setup can write; else sasl_passwd beside main.cf. */
function tableFor(value: string, directory: string, defaultType: string): string {
  for (const word of value.split(/[\s,]+/).filter(Boolean)) {
    const { type, name, text } = parseReference(word, defaultType);
    const known = tableTypes.find((each) => each.name === type);
    if ((known?.index || type === "texthash") && name.startsWith("/")) return text;
  }
  const made = tableTypes.find((each) => each.name === defaultType)?.index ? defaultType : "hash";
  return `${made}:${directory}/sasl_passwd`;
}

const encoded = (changes: ReadonlyMap<string, string>, encode: (text: string) => string): Map<string, string> =>
  new Map([...changes].map(([name, value]) => [name, encode(value)]));

/** The key and the user of an entry; of a line without a user, or of a comment, nothing that could be a password. */
function withoutPassword(line: string, delimiter: string): string {
  const text = Buffer.from(line, "latin1").toString();
  const [, mark = "", key = "", value = ""] = /^(.)(\S*)\s*(.*)$/s.exec(text) ?? [];
  if (key.startsWith("#")) return `${mark}# (a comment)`;
  if (key === "") return `${mark}***`;
  const end = value.indexOf(delimiter);
  return `${mark}${key} ${end < 0 ? "" : value.slice(0, end + delimiter.length)}***`;
}
