import { existsSync, statSync } from "node:fs";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { makeCertificate } from "../src/practice/certificate.ts";
import { type PracticeServer, startPracticeServer } from "../src/practice/practice-server.ts";
import { realRuntime } from "../src/runtime/real.ts";

/**
 * npm start: Postern on unprivileged ports with its queue below the checkout, and, unless a real
 * relay host is named, a practice smarthost beside it that demands STARTTLS and AUTH. A first message is
 * sent through and shown on its way. Everything stays in one directory, and is used again the next time.
 *
 *   RELAYHOST                        [smtp.example.com]:587: relay there instead
 *   RELAYHOST_USERNAME, …_PASSWORD   the login; or RELAYHOST_PASSWORD_FILE (also …_USERNAME_FILE)
 *   POSTERN_PORT                     where mail is taken (2525)
 *   POSTERN_TO                       the first message's recipient
 */
const root = resolve(import.meta.dirname, "..");
const runtime = realRuntime();
const port = Number(process.env.POSTERN_PORT ?? 2525);
const practicePort = port + 100;
const isRoot = process.getuid?.() === 0;

/** Below the checkout, unless the account that the relay drops to could not get there. */
const home = !isRoot || reachable(root) ? join(root, "var") : "/var/lib/postern-first-steps";
const etc = join(home, "etc");
const logFile = join(home, "mail.log");

async function main(): Promise<void> {
  say(`Postern keeps everything of this run in ${home}`);
  await makeDirectories();
  const relayhost = process.env.RELAYHOST;
  const practice = relayhost ? undefined : await startPractice();
  await writeConfiguration(relayhost ?? `[localhost]:${practicePort}`, practice);
  await postern("postmap", `hash:${etc}/sasl_passwd`);
  const follow = await followLog();
  const system = await startSystem();
  say(`Postern takes mail on 127.0.0.1, port ${port}, and relays it to ${relayhost ?? "the practice smarthost"}.`);
  const to = process.env.POSTERN_TO ?? (relayhost ? undefined : "somebody@example.com");
  if (to) await firstMessage(to, practice);
  else say("Set POSTERN_TO=you@example.com to have a first message sent.");
  nextSteps(relayhost);
  await system.ended;
  follow.stop();
  await practice?.close();
}

async function makeDirectories(): Promise<void> {
  await mkdir(etc, { recursive: true });
}

async function startPractice(): Promise<PracticeServer> {
  const certificate = await practiceCertificate();
  const server = await startPracticeServer(runtime, {
    address: "127.0.0.1",
    port: practicePort,
    name: "localhost",
    users: { test: "testpass" },
    certificate,
  });
  say(`A practice smarthost runs on port ${practicePort}: it demands STARTTLS and a login (test, testpass).`);
  return server;
}

/** Kept between runs, so that a configuration copied from here goes on working. */
async function practiceCertificate(): Promise<{ key: string; certificate: string }> {
  const file = join(home, "practice-certificate.pem");
  if (existsSync(file)) {
    const [key = "", certificate = ""] = (await readFile(file, "utf8")).split("\n\n");
    if (key && certificate) return { key, certificate };
  }
  const made = makeCertificate({ names: ["localhost"], notBefore_ms: runtime.clock.now() - 3600_000, days: 3650 });
  await writeFile(file, `${made.key.trim()}\n\n${made.certificate.trim()}\n`, { mode: 0o600 });
  return made;
}

async function writeConfiguration(relayhost: string, practice: PracticeServer | undefined): Promise<void> {
  const lines = [
    "# Written by npm start at each start. For a configuration of your own, copy this directory.",
    "compatibility_level = 3.6",
    `queue_directory = ${home}/spool`,
    `data_directory = ${home}/data`,
    `maillog_file = ${logFile}`,
    `maillog_file_prefixes = ${home}`,
    "inet_interfaces = loopback-only",
    "mynetworks = 127.0.0.0/8 [::1]/128",
    "mydestination =",
    "alias_maps =",
    "alias_database =",
    ...(isRoot ? ["mail_owner = nobody", "setgid_group = nogroup"] : []),
    "",
    `relayhost = ${relayhost}`,
    "smtp_sasl_auth_enable = yes",
    `smtp_sasl_password_maps = hash:${etc}/sasl_passwd`,
    "smtp_sasl_security_options = noplaintext, noanonymous",
    "smtp_sasl_tls_security_options = noanonymous",
    ...(practice
      ? ["smtp_tls_security_level = secure", `smtp_tls_CAfile = ${etc}/practice-ca.pem`, "smtp_host_lookup = native"]
      : realRelayTls(relayhost)),
  ];
  await writeFile(join(etc, "main.cf"), `${lines.join("\n")}\n`);
  await writeFile(join(etc, "master.cf"), `${port} inet n - n - - smtpd\n`);
  if (practice?.certificate) await writeFile(join(etc, "practice-ca.pem"), practice.certificate);
  await writeCredentials(relayhost, practice !== undefined);
}

const systemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

/** A login goes only to a server that proves its name, where this host knows whom to trust and the name is the configured one. */
function realRelayTls(relayhost: string): string[] {
  if (!existsSync(systemAuthorities)) {
    say(`${systemAuthorities} is missing (package ca-certificates): the relay host's certificate cannot be verified.`);
    return ["smtp_tls_security_level = encrypt"];
  }
  const level = relayhost.startsWith("[") ? "secure" : "verify";
  return [`smtp_tls_security_level = ${level}`, `smtp_tls_CAfile = ${systemAuthorities}`];
}

async function writeCredentials(relayhost: string, practising: boolean): Promise<void> {
  const user = practising ? "test" : await secret("RELAYHOST_USERNAME");
  const password = practising ? "testpass" : await secret("RELAYHOST_PASSWORD");
  const file = await open(join(etc, "sasl_passwd"), "w", 0o600);
  await file.chmod(0o600);
  await file.write(user ? `${relayhost} ${user}:${password ?? ""}\n` : "# no RELAYHOST_USERNAME was given\n");
  await file.close();
}

/** NAME, or what stands in the file that NAME_FILE names. */
async function secret(name: string): Promise<string | undefined> {
  const file = process.env[`${name}_FILE`];
  return file ? (await readFile(file, "utf8")).replace(/\r?\n$/, "") : process.env[name];
}

async function postern(...args: string[]): Promise<string> {
  const output: Buffer[] = [];
  const child = await runtime.processes.spawn(join(root, "bin/postern"), ["-c", etc, ...args], {
    env: environment(),
    output: (bytes) => output.push(bytes),
  });
  const { status, signal } = await child.exited;
  if (status !== 0) throw new Error(`bin/postern ${args.join(" ")}: ${signal ?? `exit status ${status}`}`);
  return Buffer.concat(output).toString();
}

async function startSystem(): Promise<{ ended: Promise<void> }> {
  const started = Promise.withResolvers<{ ok: boolean; text?: string; status?: number; notes?: string[] }>();
  const child = await runtime.processes.spawn(join(root, "bin/postern"), ["-c", etc, "start-fg"], {
    env: environment(),
    detached: true,
    message: (message) => started.resolve(message as { ok: boolean }),
  });
  void child.exited.then(({ status }) =>
    started.resolve({ ok: false, text: "it ended while it started", status: status ?? 1 }),
  );
  const outcome = await started.promise;
  if (!outcome.ok) {
    process.stderr.write(`${outcome.text}\n`);
    process.exit(outcome.status ?? 1);
  }
  for (const note of outcome.notes ?? []) say(note);
  const stop = (): void => child.kill("SIGTERM");
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return { ended: child.exited.then(() => {}) };
}

function environment(): Record<string, string> {
  const { PATH = "", HOME = "", TZ } = process.env;
  return { PATH, HOME, ...(TZ ? { TZ } : {}) };
}

async function firstMessage(to: string, practice: PracticeServer | undefined): Promise<void> {
  say(`\nSending a first message to ${to} ...`);
  const child = await runtime.processes.spawn(join(root, "bin/postern"), ["-c", etc, "sendmail", "-i", "-t"], {
    env: environment(),
    input: `To: ${to}\nSubject: A first message through Postern\n\nIt was taken, kept safe on disk, and handed on with a login.\n`,
  });
  const { status } = await child.exited;
  if (status !== 0) return say(`sendmail ended with exit status ${status}`);
  if (!practice) return;
  for (let tries = 0; tries < 100 && practice.messages.length === 0; tries++) await wait(100);
  const [message] = practice.messages;
  if (!message) return say("The practice smarthost has not got it yet. The log above says why.");
  const { username, secured, recipients } = message;
  await wait(300);
  say(
    `The practice smarthost has it: for ${recipients.join(", ")}, from login "${username}", ${secured ? "under TLS" : "in clear"}.`,
  );
}

/** Shows the log as it grows. */
async function followLog(): Promise<{ stop(): void }> {
  const file = await open(logFile, "a+");
  let at = (await file.stat()).size;
  const timer = setInterval(async () => {
    const { size } = await file.stat();
    if (size <= at) return;
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - at), position: at });
    at += bytesRead;
    process.stdout.write(
      buffer
        .subarray(0, bytesRead)
        .toString()
        .replaceAll(/^/gm, "  log: ")
        .replace(/ {2}log: $/, ""),
    );
  }, 100);
  if (isRoot) await file.chmod(0o600);
  return {
    stop() {
      clearInterval(timer);
      void file.close();
    },
  };
}

function nextSteps(relayhost: string | undefined): void {
  const command = `${join(root, "bin/postern")} -c ${etc}`;
  say(`
Things to try, in another terminal:

  printf 'Subject: hello\\n\\nhello\\n' | ${command} sendmail you@example.com
  ${command} status
  ${command} mailq
  ${command} postconf -n

The configuration is in ${etc}: edit main.cf, then '${command} reload'.${
    relayhost
      ? ""
      : `

To relay through your provider:
  RELAYHOST='[smtp.example.com]:587' RELAYHOST_USERNAME=... RELAYHOST_PASSWORD_FILE=... POSTERN_TO=you@example.com npm start`
  }

Ctrl-C ends it.`);
}

/** Can an account without privileges get to this directory? */
function reachable(directory: string): boolean {
  for (let path = directory; ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return false;
    if (path === "/") return true;
  }
}

const wait = (delay_ms: number): Promise<void> => new Promise((done) => setTimeout(done, delay_ms));

const say = (text: string): void => void process.stdout.write(`${text}\n`);

await main();
