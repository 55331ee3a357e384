import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "../lab/at-exit.ts";
import { listening, makePlace } from "./place.ts";

/** Debian's Dovecot as an authentication server alone: a socket that a Postfix's smtpd asks. Needs root. */
export interface DovecotOptions {
  /** User names and passwords, kept in clear so that every mechanism works. */
  readonly users: Readonly<Record<string, string>>;
  /** "plain login cram-md5 scram-sha-1 scram-sha-256" unless given. */
  readonly mechanisms?: string;
}

export interface RunningDovecot {
  /** For smtpd_sasl_path. */
  readonly socket: string;
  log(): string;
  /** Other users and passwords, from now on. */
  setUsers(users: DovecotOptions["users"]): void;
  stop(): Promise<void>;
}

export async function startDovecot({ users, mechanisms }: DovecotOptions): Promise<RunningDovecot> {
  const { directory, remove } = makePlace("dovecot");
  const socket = join(directory, "auth-client");
  mkdirSync(join(directory, "run"));
  const setUsers: RunningDovecot["setUsers"] = (these) => {
    const lines = Object.entries(these).map(
      ([name, password]) => `${name}:{PLAIN.b64}${Buffer.from(password).toString("base64")}::::::\n`,
    );
    writeFileSync(join(directory, "users"), lines.join(""), { mode: 0o644 });
  };
  setUsers(users);
  // Without the penalty listener, failed log-ins do not slow the next ones down.
  writeFileSync(
    join(directory, "dovecot.conf"),
    `base_dir = ${directory}/run
state_dir = ${directory}/run
log_path = /dev/stderr
protocols = none
ssl = no
disable_plaintext_auth = no
auth_mechanisms = ${mechanisms ?? "plain login cram-md5 scram-sha-1 scram-sha-256"}
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = username_format=%u ${directory}/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service auth {
  unix_listener ${socket} {
    mode = 0666
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`,
  );
  return { socket, setUsers, ...(await runDovecot(directory, socket, remove)) };
}

/** Runs the dovecot.conf in a directory until stop(), which calls `remove` at its end. Resolves when it listens on the socket. */
export async function runDovecot(
  directory: string,
  socket: string,
  remove: () => void,
): Promise<{ log(): string; stop(): Promise<void> }> {
  let written = "";
  const child = spawn("dovecot", ["-F", "-c", join(directory, "dovecot.conf")], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (bytes: Buffer) => (written += bytes.toString()));
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const log = () => written;
  const keep = atExit(() => child.kill("SIGTERM"));
  const stop = async (): Promise<void> => {
    keep();
    child.kill("SIGTERM");
    await exited;
    remove();
  };
  try {
    await listening({ path: socket }, log);
  } catch (error) {
    await stop();
    throw error;
  }
  return { log, stop };
}
