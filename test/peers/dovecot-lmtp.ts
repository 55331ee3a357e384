import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "../lab/at-exit.ts";
import { listening, makePlace } from "./place.ts";

/** Debian's Dovecot as an LMTP server at a Unix socket, with mailboxes of its own. Needs root, and dovecot-lmtpd. */
export interface RunningDovecotLmtp {
  readonly socket: string;
  log(): string;
  /** The messages in a user's mailbox. */
  mailbox(user: string): string[];
  stop(): Promise<void>;
}

export async function startDovecotLmtp(users: readonly string[]): Promise<RunningDovecotLmtp> {
  const { directory, remove } = makePlace("dovecot-lmtp");
  const socket = join(directory, "lmtp");
  for (const name of ["run", "mail"]) mkdirSync(join(directory, name));
  // Mailboxes belong to nobody.
  chmodSync(join(directory, "mail"), 0o777);
  writeFileSync(join(directory, "users"), users.map((user) => `${user}:{PLAIN}x::::::\n`).join(""), { mode: 0o644 });
  writeFileSync(
    join(directory, "dovecot.conf"),
    `base_dir = ${directory}/run
state_dir = ${directory}/run
log_path = /dev/stderr
protocols = lmtp
ssl = no
mail_location = maildir:${directory}/mail/%n
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
userdb {
  driver = passwd-file
  args = username_format=%n ${directory}/users
}
passdb {
  driver = passwd-file
  args = username_format=%n ${directory}/users
}
service lmtp {
  unix_listener ${socket} {
    mode = 0666
  }
}
service anvil {
  chroot =
}
`,
  );
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
  const mailbox = (user: string): string[] => {
    const box = join(directory, "mail", user, "new");
    try {
      return readdirSync(box).map((name) => readFileSync(join(box, name), "latin1"));
    } catch {
      return [];
    }
  };
  try {
    await listening({ path: socket }, log);
  } catch (error) {
    await stop();
    throw error;
  }
  return { socket, log, mailbox, stop };
}
