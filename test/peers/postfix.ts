import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { atExit } from "../lab/at-exit.ts";
import { freePort, listening, makePlace, type OnHost } from "./place.ts";

/**
 * Debian's Postfix, as a private instance in a directory of its own, with its
 * own queue and log. Needs root. It listens on 127.0.0.1 only, or on one address of another host.
 */
export interface PostfixOptions {
  /** Parameters; they go over the base, which takes mail for nobody and knows no tables. "@DIRECTORY@" and "@PORT@" are replaced. */
  readonly mainCf?: Readonly<Record<string, string>>;
  /** More lines for master.cf, with the same replacements. */
  readonly masterCf?: readonly string[];
  /** `-o` overrides of the smtpd on `port`. */
  readonly smtpd?: Readonly<Record<string, string>>;
  /** Files put into the directory before it starts, by name relative to it, readable for Postfix. */
  readonly files?: Readonly<Record<string, string>>;
  /** Called with the directory when the files are there, before it starts. */
  readonly prepare?: (directory: string) => void | Promise<void>;
  /** Unless given, one that is free. */
  readonly port?: number;
  /** A program, with its arguments, that `postfix start` is run by. It must not keep standard output open. */
  readonly under?: readonly string[];
  /** Where it runs, in place of this machine, and the address it listens on there; `port` has to be given, too. */
  readonly host?: OnHost & { readonly address: string };
}

export interface RunningPostfix {
  readonly directory: string;
  readonly port: number;
  /** The mail log so far. */
  log(): string;
  /** Runs one of Postfix's programs with `-c directory`: its status, output and errors. */
  run(program: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string };
  /** Stops it and removes the directory. */
  stop(): Promise<void>;
}

const base = {
  compatibility_level: "3.6",
  config_directory: "@DIRECTORY@/etc",
  queue_directory: "@DIRECTORY@/queue",
  data_directory: "@DIRECTORY@/data",
  command_directory: "/usr/sbin",
  daemon_directory: "/usr/lib/postfix/sbin",
  maillog_file: "@DIRECTORY@/log/mail.log",
  maillog_file_prefixes: "@DIRECTORY@",
  inet_interfaces: "127.0.0.1",
  inet_protocols: "ipv4",
  myhostname: "peer.example",
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

/** The lines of a master.cf for every service that a Postfix needs, without chroot; what listens comes on top. */
export const postfixServices: readonly string[] = [
  "pickup unix n - n 60 1 pickup",
  "cleanup unix n - n - 0 cleanup",
  "qmgr unix n - n 300 1 qmgr",
  "tlsmgr unix - - n 1000? 1 tlsmgr",
  "rewrite unix - - n - - trivial-rewrite",
  "bounce unix - - n - 0 bounce",
  "defer unix - - n - 0 bounce",
  "trace unix - - n - 0 bounce",
  "verify unix - - n - 1 verify",
  "flush unix n - n 1000? 0 flush",
  "proxymap unix - - n - - proxymap",
  "proxywrite unix - - n - 1 proxymap",
  "smtp unix - - n - - smtp",
  "relay unix - - n - - smtp",
  "showq unix n - n - - showq",
  "error unix - - n - - error",
  "retry unix - - n - - error",
  "discard unix - - n - - discard",
  "local unix - n n - - local",
  "virtual unix - n n - - virtual",
  "lmtp unix - - n - - lmtp",
  "anvil unix - - n - 1 anvil",
  "scache unix - - n - 1 scache",
  "postlog unix-dgram n - n - 1 postlogd",
];

export async function startPostfix(options: PostfixOptions = {}): Promise<RunningPostfix> {
  const { directory, remove } = makePlace("postfix");
  const port = options.port ?? (await freePort());
  const filled = (text: string) => text.replaceAll("@DIRECTORY@", directory).replaceAll("@PORT@", String(port));
  const parameters = { ...base, inet_interfaces: options.host?.address ?? base.inet_interfaces, ...options.mainCf };
  const main = Object.entries(parameters).map(([name, value]) => `${name} = ${value}\n`);
  const overrides = Object.entries(options.smtpd ?? {}).map(([name, value]) => `  -o ${name}=${value}\n`);
  const address = options.host?.address ?? "127.0.0.1";
  const master = [`${address}:${port} inet n - n - - smtpd\n${overrides.join("")}`];
  for (const line of [...postfixServices, ...(options.masterCf ?? [])]) master.push(`${line}\n`);
  for (const name of ["etc", "queue", "data", "log"]) mkdirSync(join(directory, name));
  giveToPostfix(join(directory, "data"));
  writeFileSync(join(directory, "etc", "main.cf"), filled(main.join("")));
  writeFileSync(join(directory, "etc", "master.cf"), filled(master.join("")));
  for (const [name, text] of Object.entries(options.files ?? {})) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), filled(text));
  }
  const log = () => readIfThere(join(directory, "log", "mail.log"));
  const run: RunningPostfix["run"] = (program, ...args) => {
    const configuration = join(directory, "etc");
    const line = ["-c", configuration, ...args];
    const command = options.host?.on(program, line) ?? { program, args: line };
    const { status, stdout, stderr } = spawnSync(command.program, command.args, { encoding: "utf8" });
    return { status, stdout, stderr };
  };
  const keep = atExit(() => void run("postfix", "abort"));
  try {
    await options.prepare?.(directory);
    const [first = "postfix", ...more] = options.under ?? [];
    const started = options.under
      ? spawnSync(first, [...more, "postfix", "-c", join(directory, "etc"), "start"], { encoding: "utf8" })
      : run("postfix", "start");
    if (started.status !== 0) throw new Error(`postfix start: ${started.stdout}${started.stderr}${log()}`);
    await listening({ port, address }, log, options.host);
  } catch (error) {
    keep();
    run("postfix", "abort");
    remove();
    throw error;
  }
  const stop = async (): Promise<void> => {
    keep();
    run("postfix", "stop");
    remove();
  };
  return { directory, port, log, run, stop };
}

/** The account that Debian's Postfix runs as owns Debian's data directory. */
export function giveToPostfix(path: string): void {
  const { uid, gid } = statSync("/var/lib/postfix");
  chownSync(path, uid, gid);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
