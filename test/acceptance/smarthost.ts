import { chownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../lab/network.ts";
import { until } from "../lab/until.ts";
import { startDovecot } from "../peers/dovecot.ts";
import { startPostfix } from "../peers/postfix.ts";

/**
 * A provider's server: Debian's Postfix on port 25, with SASL by Dovecot. It relays for those who log in and refuses
 * everybody else. What it takes goes into one mailbox, a file for each recipient, with the
 * envelope on top, so that deliveries can be counted and compared.
 */
export interface Smarthost {
  readonly name: string;
  log(): string;
  /** Everything that arrived so far. */
  delivered(): Delivered[];
  /** Waits until `count` deliveries that `match` have arrived. */
  arrived(match: (delivered: Delivered) => boolean, count?: number): Promise<Delivered[]>;
  /** Waits until nothing that it took is still on its way into the mailbox. */
  settled(): Promise<void>;
  /** Other accounts, from now on. */
  setAccounts(accounts: Readonly<Record<string, string>>): void;
  stop(): Promise<void>;
}

export interface Delivered {
  readonly sender: string;
  readonly recipient: string;
  /** The message as it came, with the smarthost's own Received: removed. */
  readonly message: string;
}

export interface SmarthostOptions {
  readonly host: Host;
  readonly name: string;
  /** The host's own address unless given. */
  readonly address?: string;
  readonly accounts: Readonly<Record<string, string>>;
  /** What Dovecot offers; "plain login" unless given. */
  readonly mechanisms?: string;
  /** Answers for recipients that it does not take: "550 5.1.1 …" by address. */
  readonly refusals?: Readonly<Record<string, string>>;
}

const mailboxOwner = 65534;

export async function startSmarthost(options: SmarthostOptions): Promise<Smarthost> {
  const { host, name, accounts } = options;
  const address = options.address ?? host.address;
  const dovecot = await startDovecot({ users: accounts, mechanisms: options.mechanisms ?? "plain login" });
  const refusals = Object.entries(options.refusals ?? {}).map(([recipient, answer]) => `${recipient} ${answer}\n`);
  const postfix = await startPostfix({
    host: { address, on: host.on },
    port: 25,
    files: { "etc/refusals": refusals.join("") },
    mainCf: {
      myhostname: name,
      smtpd_sasl_auth_enable: "yes",
      smtpd_sasl_type: "dovecot",
      smtpd_sasl_path: dovecot.socket,
      smtpd_sasl_security_options: "noanonymous",
      broken_sasl_auth_clients: "yes",
      smtpd_relay_restrictions: "permit_sasl_authenticated, reject_unauth_destination",
      smtpd_recipient_restrictions: "check_recipient_access texthash:@DIRECTORY@/etc/refusals, permit",
      smtpd_client_connection_rate_limit: "0",
      default_transport: "virtual",
      virtual_mailbox_base: "@DIRECTORY@/mail",
      virtual_mailbox_maps: "static:all/",
      virtual_uid_maps: `static:${mailboxOwner}`,
      virtual_gid_maps: `static:${mailboxOwner}`,
      virtual_transport: "virtual",
      // Otherwise every domain that the mailbox takes would count as its own.
      virtual_mailbox_domains: "",
    },
    prepare(directory) {
      mkdirSync(join(directory, "mail"));
      chownSync(join(directory, "mail"), mailboxOwner, mailboxOwner);
    },
  }).catch(async (error: unknown) => {
    await dovecot.stop();
    throw error;
  });
  const mailbox = join(postfix.directory, "mail", "all", "new");
  const seen = new Map<string, Delivered>();
  const delivered = (): Delivered[] => {
    for (const file of namesIn(mailbox)) {
      if (!seen.has(file)) seen.set(file, read(readFileSync(join(mailbox, file), "latin1")));
    }
    return [...seen.values()];
  };
  return {
    name,
    log: postfix.log,
    delivered,
    arrived: (match, count = 1) =>
      until(
        `${count} deliveries at ${name}`,
        () => {
          const found = delivered().filter(match);
          return found.length >= count && found;
        },
        { about: () => `${delivered().length} others\n${postfix.log()}` },
      ),
    async settled() {
      await until(`${name} to have delivered all`, () => postfix.run("postqueue", "-j").stdout.trim() === "");
    },
    setAccounts: dovecot.setUsers,
    async stop() {
      await postfix.stop();
      await dovecot.stop();
    },
  };
}

function read(file: string): Delivered {
  const [, sender = "?", recipient = "?", rest = ""] =
    /^Return-Path: <(.*)>\n(?:X-Original-To: .*\n)?Delivered-To: (.*)\n((?:.|\n)*)$/.exec(file) ?? [];
  return { sender, recipient, message: rest.replace(/^Received: .*\n(?:[ \t].*\n)*/, "") };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
