import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { atExit } from "../lab/at-exit.ts";
import { freePort, listening, makePlace } from "./place.ts";

/**
 * Postern from this checkout, as a private instance in a directory of its own, with its own queue
 * and log. As root it drops to `postfix`, as any other user it drops nothing. It listens on 127.0.0.1 only.
 *
 * Its processes end by stop(); should a test forget that, or fail before it, then with the test's own process.
 */
export interface PosternOptions {
  /** Parameters; they go over the base, which takes mail for nobody and knows no tables. "@DIRECTORY@" and "@PORT@" are replaced. */
  readonly mainCf?: Readonly<Record<string, string>>;
  /** More lines for master.cf, with the same replacements. */
  readonly masterCf?: readonly string[];
  /** `-o` overrides of the smtpd on `port`. */
  readonly smtpd?: Readonly<Record<string, string>>;
  /** Files put into the directory before it starts, by name relative to it. */
  readonly files?: Readonly<Record<string, string>>;
  /** Called with the directory when the files are there, before it starts. */
  readonly prepare?: (directory: string) => void | Promise<void>;
  /** Unless given, one that is free. */
  readonly port?: number;
  /** Options for the Node.js that runs it, such as --cpu-prof. */
  readonly node?: readonly string[];
  /** Put into its environment. "@DIRECTORY@" is replaced. */
  readonly env?: Readonly<Record<string, string>>;
  /** A program, with its arguments, that starts it and becomes it, such as strace -D. */
  readonly under?: readonly string[];
}

export interface RunningPostern {
  readonly directory: string;
  readonly port: number;
  /** Where the queue's files are. */
  readonly queue: string;
  /** The mail log so far. */
  log(): string;
  /** Runs a command of bin/postern with `-c`: its status, output and errors. */
  run(command: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string };
  readonly masterPid: number;
  /** The relay that serves, or undefined while there is none. */
  relayPid(): number | undefined;
  /** kill -9: of master and relay, or of the relay alone, which the master then replaces. `gone` is called when they are dead and nothing has been mended yet. */
  kill(which: "all" | "relay", gone?: () => void | Promise<void>): Promise<void>;
  /** Ends it in order, its directory stays. */
  halt(): Promise<void>;
  /** Starts it again, after kill("all") or halt(). */
  start(): Promise<void>;
  /** Ends it and removes the directory. */
  stop(): Promise<void>;
}

const root = resolve(import.meta.dirname, "../..");

const base = {
  compatibility_level: "3.6",
  queue_directory: "@DIRECTORY@/queue",
  data_directory: "@DIRECTORY@/data",
  maillog_file: "@DIRECTORY@/log/mail.log",
  maillog_file_prefixes: "@DIRECTORY@",
  inet_interfaces: "127.0.0.1",
  inet_protocols: "ipv4",
  myhostname: "relay.example",
  mydestination: "",
  mynetworks: "",
  alias_maps: "",
  alias_database: "",
  local_recipient_maps: "",
  relay_domains: "",
  smtp_host_lookup: "native",
  smtpd_tls_security_level: "none",
  disable_vrfy_command: "yes",
};

export async function startPostern(options: PosternOptions = {}): Promise<RunningPostern> {
  const { directory, remove } = makePlace("postern");
  const port = options.port ?? (await freePort());
  const instance = new Instance(directory, port, options);
  try {
    instance.write();
    await options.prepare?.(directory);
    await instance.start();
  } catch (error) {
    await instance.abort();
    remove();
    throw error;
  }
  return Object.assign(instance, {
    async stop() {
      await instance.halt();
      remove();
    },
  });
}

class Instance implements Omit<RunningPostern, "stop"> {
  readonly directory: string;
  readonly port: number;
  readonly queue: string;
  readonly #options: PosternOptions;
  #master: ChildProcess | undefined;
  #errors = "";
  #forget = (): void => {};

  constructor(directory: string, port: number, options: PosternOptions) {
    this.directory = directory;
    this.port = port;
    this.queue = join(directory, "queue", "postern", "queue");
    this.#options = options;
  }

  get masterPid(): number {
    return this.#master?.pid ?? 0;
  }

  write(): void {
    const { mainCf, masterCf, smtpd, files } = this.#options;
    const main = Object.entries({ ...base, ...mainCf }).map(([name, value]) => `${name} = ${value}\n`);
    const overrides = Object.entries(smtpd ?? {}).map(([name, value]) => `  -o ${name}=${value}\n`);
    const master = [`127.0.0.1:${this.port} inet n - n - - smtpd\n${overrides.join("")}`];
    for (const line of masterCf ?? []) master.push(`${line}\n`);
    for (const name of ["etc", "queue", "data", "log"]) mkdirSync(join(this.directory, name));
    const all = { "etc/main.cf": main.join(""), "etc/master.cf": master.join(""), ...files };
    for (const [name, text] of Object.entries(all)) {
      mkdirSync(dirname(join(this.directory, name)), { recursive: true });
      writeFileSync(join(this.directory, name), this.#filled(text));
    }
  }

  log(): string {
    try {
      return readFileSync(join(this.directory, "log", "mail.log"), "utf8");
    } catch {
      return "";
    }
  }

  run(command: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    const given = ["-c", join(this.directory, "etc"), command, ...args];
    const { status, stdout, stderr } = spawnSync(join(root, "bin", "postern"), given, {
      encoding: "utf8",
      env: { ...process.env, ...this.#env() },
    });
    return { status, stdout, stderr };
  }

  relayPid(): number | undefined {
    return children(this.masterPid).find((pid) => /relay[-/]process\./.test(commandLine(pid)));
  }

  async start(): Promise<void> {
    const launch = ["postern", "-c", join(this.directory, "etc"), "start-fg"];
    const own = ["--disable-warning=ExperimentalWarning", ...(this.#options.node ?? [])];
    const [program = "", ...args] = [...(this.#options.under ?? []), process.execPath, ...own];
    const child = spawn(program, [...args, join(root, "bin", "main.js"), ...launch], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
      env: { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined, ...this.#env() },
    });
    this.#master = child;
    this.#forget = atExit(() => this.#killAll());
    child.stderr?.on("data", (bytes: Buffer) => (this.#errors += bytes.toString()));
    await new Promise<void>((started, failed) => {
      const ended = (): void => failed(new Error(`it ended at once\n${this.#errors}${this.log()}`));
      child.once("exit", ended);
      child.once("message", (outcome: { ok: boolean; text?: string }) => {
        child.removeListener("exit", ended);
        if (outcome.ok) started();
        else failed(new Error(`${outcome.text}\n${this.#errors}`));
      });
    });
    // It must outlive a closed channel no more than it needs to.
    child.disconnect();
    await listening({ port: this.port }, () => this.log());
  }

  async kill(which: "all" | "relay", gone: () => void | Promise<void> = () => {}): Promise<void> {
    const master = this.masterPid;
    // A master that stands still starts no relay that we would not know of, and mends nothing before `gone` has looked.
    signal(master, "SIGSTOP");
    const relays = children(master);
    for (const relay of relays) signal(relay, "SIGKILL");
    if (which === "all") signal(master, "SIGKILL");
    await Promise.all(relays.map(dead));
    if (which === "all") await this.#ended();
    await gone();
    signal(which === "all" ? 0 : master, "SIGCONT");
  }

  async halt(): Promise<void> {
    signal(this.masterPid, "SIGTERM");
    const late = setTimeout(() => this.#killAll(), 30_000);
    await this.#ended();
    clearTimeout(late);
  }

  /** Ends whatever runs, at once. */
  async abort(): Promise<void> {
    this.#killAll();
    await this.#ended();
  }

  #killAll(): void {
    const pids = [this.masterPid, ...children(this.masterPid)];
    for (const pid of pids) signal(pid, "SIGKILL");
  }

  async #ended(): Promise<void> {
    const master = this.#master;
    if (master && master.exitCode === null && master.signalCode === null) {
      await new Promise((resolve) => master.once("exit", resolve));
    }
    this.#forget();
    this.#forget = () => {};
    this.#master = undefined;
  }

  #env(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.#options.env ?? {}).map(([name, value]) => [name, this.#filled(value)]),
    );
  }

  #filled(text: string): string {
    return text.replaceAll("@DIRECTORY@", this.directory).replaceAll("@PORT@", String(this.port));
  }
}

/** The processes that a process has started and that still run. */
export function children(pid: number): number[] {
  if (pid === 0) return [];
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

function signal(pid: number, which: NodeJS.Signals): void {
  try {
    if (pid > 0) process.kill(pid, which);
  } catch {
    // It has gone already.
  }
}

/**
 * A killed process that its parent has not collected yet is dead all the same, once all of its threads are: one
 * may still be in the middle of a sync, and holds its files until then.
 */
async function dead(pid: number): Promise<void> {
  while (threads(pid).some((thread) => !["", "Z", "X"].includes(stateOf(thread)))) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);
  } catch {
    return [];
  }
}

function stateOf(thread: string): string {
  try {
    return /\) (\w)/.exec(readFileSync(`${thread}/stat`, "latin1"))?.[1] ?? "";
  } catch {
    return "";
  }
}
