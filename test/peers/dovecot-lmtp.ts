import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runDovecot } from "./dovecot.ts";
import { makePlace } from "./place.ts";

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
  const mailbox = (user: string): string[] => {
    const box = join(directory, "mail", user, "new");
    try {
      return readdirSync(box).map((name) => readFileSync(join(box, name), "latin1"));
    } catch {
      return [];
    }
  };
  return { socket, mailbox, ...(await runDovecot(directory, socket, remove)) };
}
