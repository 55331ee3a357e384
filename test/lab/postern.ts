import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makePlace } from "../peers/place.ts";
import { atExit } from "./at-exit.ts";
import type { Host, Ran, RunOptions } from "./network.ts";
import { until } from "./until.ts";

/**
 * Postern as an administrator has it: a configuration directory, and `bin/postern` on a host of a
 * network under test. Nothing of the product is imported.
 */
export interface PosternOptions {
  readonly host: Host;
  /** Parameters above the base's; "@DIRECTORY@" is replaced. */
  readonly mainCf?: Readonly<Record<string, string>>;
  /** The text of master.cf, in place of one smtpd on port 25. */
  readonly masterCf?: string;
  /** Both files begin as Debian's package brings them: main.cf is appended to, master.cf stays unless given. */
  readonly debian?: boolean;
}

export interface QueueItem {
  readonly queue_name: string;
  readonly queue_id: string;
  readonly sender: string;
  readonly recipients: readonly { readonly address: string; readonly delay_reason?: string }[];
}

export interface Postern {
  /** Holds etc/, spool/ and mail.log. */
  readonly directory: string;
  readonly etc: string;
  readonly mainCf: string;
  readonly masterCf: string;
  /** `bin/postern -c etc …` */
  run(args: readonly string[], options?: RunOptions): Ran;
  /** One of Postfix's programs under its own name: `bin/postern NAME …`, with MAIL_CONFIG saying where the configuration is. */
  program(name: string, args: readonly string[], options?: RunOptions): Ran;
  /** Starts it, and sees to it that it did. */
  start(): void;
  stop(): void;
  log(): string;
  /** Waits for a line of the log, from `from` characters on. */
  logged(pattern: RegExp, from?: number): Promise<RegExpExecArray>;
  queue(): QueueItem[];
  masterPid(): number;
  relayPid(): number;
  /** Takes mail for the maildrop. */
  send(message: string, args: readonly string[], options?: RunOptions): void;
  /** Stops what runs, whatever its state, and removes everything. */
  remove(): void;
}

export const launcher: string = join(import.meta.dirname, "..", "..", "bin", "postern");

const base: Readonly<Record<string, string>> = {
  compatibility_level: "3.6",
  queue_directory: "@DIRECTORY@/spool",
  maillog_file: "@DIRECTORY@/mail.log",
  maillog_file_prefixes: "@DIRECTORY@",
  myhostname: "client.example.com",
  mydestination: "",
  mynetworks: "127.0.0.0/8",
  inet_interfaces: "127.0.0.1",
  inet_protocols: "ipv4",
  alias_maps: "",
  smtp_tls_security_level: "none",
};

const oneSmtpd = "smtp inet n - n - - smtpd\n";

export function makePostern({ host, mainCf = {}, masterCf, debian = false }: PosternOptions): Postern {
  const { directory, remove: removeDirectory } = makePlace("acceptance");
  const etc = join(directory, "etc");
  mkdirSync(etc);
  const filled = (text: string) => text.replaceAll("@DIRECTORY@", directory);
  const parameters = Object.entries({ ...base, ...mainCf }).map(([name, value]) => `${name} = ${value}\n`);
  const template = (name: string) => (debian ? readFileSync(join("/usr/share/postfix", name), "utf8") : "");
  writeFileSync(join(etc, "main.cf"), template("main.cf.debian") + filled(parameters.join("")));
  writeFileSync(join(etc, "master.cf"), filled(masterCf ?? (template("master.cf.dist") || oneSmtpd)));
  const run: Postern["run"] = (args, options) => host.run(launcher, ["-c", etc, ...args], options);
  const log = () => readOr(join(directory, "mail.log"), "");
  const masterPid = () => Number(readOr(join(directory, "spool", "postern", "master.pid"), "0"));
  const end = (): void => {
    for (const pid of [...pidsBelow(masterPid()), masterPid()]) kill(pid);
  };
  const keep = atExit(end);
  const postern: Postern = {
    directory,
    etc,
    mainCf: join(etc, "main.cf"),
    masterCf: join(etc, "master.cf"),
    run,
    program: (name, args, options = {}) =>
      host.run(launcher, [name, ...args], { ...options, env: { ...options.env, MAIL_CONFIG: etc } }),
    start() {
      const { status, stdout, stderr } = run(["start"]);
      assert.equal(status, 0, `postern start: ${stdout}${stderr}${log()}`);
    },
    stop() {
      const { status, stderr } = run(["stop"]);
      assert.equal(status, 0, `postern stop: ${stderr}${log()}`);
    },
    log,
    logged: (pattern, from = 0) =>
      until(`${pattern} in the mail log`, () => pattern.exec(log().slice(from)), { about: log }),
    queue: () =>
      run(["postqueue", "-j"])
        .stdout.split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as QueueItem),
    masterPid,
    relayPid: () => Number(/relay pid (\d+)/.exec(run(["status"]).stderr)?.[1] ?? 0),
    send(message, args, options) {
      const { status, stderr } = postern.program("sendmail", args, { ...options, input: message });
      assert.equal(status, 0, `sendmail: ${stderr}`);
    },
    remove() {
      keep();
      if (masterPid() > 0) run(["stop"]);
      end();
      removeDirectory();
    },
  };
  return postern;
}

function pidsBelow(pid: number): number[] {
  if (pid === 0) return [];
  return readOr(`/proc/${pid}/task/${pid}/children`, "")
    .split(" ")
    .filter((each) => each.trim() !== "")
    .map(Number);
}

function kill(pid: number): void {
  if (pid === 0) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}
