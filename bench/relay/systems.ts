import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startPostern } from "../../test/peers/postern.ts";
import { startPostfix } from "../../test/peers/postfix.ts";
import { delaySyncs } from "./delayed-syncs.ts";
import { fillQueue } from "./fill.ts";

/** A mail system under measurement. */
export interface System {
  readonly name: string;
  readonly port: number;
  /** The process that all others of it descend from. */
  readonly pid: number;
  /** What there is to say about it at the end. Throws where its figures mean nothing. */
  remark?(): string;
  stop(): Promise<void>;
}

/**
 * main.cf of both. Each has a queue directory and a mail log of its own on the same file system; all else is
 * the default of each, which is the same text, process limits and concurrency included.
 */
const common = {
  mynetworks: "127.0.0.0/8",
  inet_interfaces: "127.0.0.1",
  inet_protocols: "ipv4",
  myhostname: "relay.example.org",
  mydestination: "",
  alias_maps: "",
  alias_database: "",
  local_recipient_maps: "",
} as const;

export interface SystemOptions {
  /** The sink's port. */
  readonly relayTo: number;
  /** For a sink that wants STARTTLS and AUTH. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Parameters for this one alone. */
  readonly own?: Readonly<Record<string, string>>;
  /** Options for the Node.js of Postern. */
  readonly node?: readonly string[];
  /** Each of its syncs takes this much longer. */
  readonly syncDelay_ms?: number;
  /** So many deferred messages are put into Postern's queue first. */
  readonly waiting?: number;
}

/** What both are started with. */
export function configuration({ relayTo, login, own }: SystemOptions) {
  const relayhost = `[127.0.0.1]:${relayTo}`;
  const tls: Record<string, string> = login
    ? {
        smtp_tls_security_level: "encrypt",
        smtp_sasl_auth_enable: "yes",
        smtp_sasl_password_maps: "texthash:@DIRECTORY@/sasl_passwd",
        smtp_sasl_security_options: "noanonymous",
        smtp_sasl_mechanism_filter: "plain",
      }
    : { smtp_tls_security_level: "none" };
  return {
    mainCf: { ...common, relayhost, ...tls, ...own },
    files: login ? { sasl_passwd: `${relayhost} ${login.user}:${login.password}\n` } : {},
  };
}

export async function benchPostern(name: string, options: SystemOptions): Promise<System> {
  const slow = delaySyncs(options.syncDelay_ms);
  const relay = await startPostern({ ...configuration(options), node: options.node ?? [], ...slow?.start });
  const system = { name, port: relay.port, stop: () => relay.stop(), ...slow?.system };
  if (!options.waiting) return { ...system, pid: relay.masterPid };
  await relay.halt();
  await fillQueue(relay.queue, options.waiting, nextWeek());
  await relay.start();
  return { ...system, pid: relay.masterPid };
}

export async function benchPostfix(name: string, options: SystemOptions): Promise<System> {
  const masterCf = ["tlsproxy unix - - n - 0 tlsproxy"];
  const slow = delaySyncs(options.syncDelay_ms);
  const relay = await startPostfix({ ...configuration(options), masterCf, ...slow?.start });
  const pid = Number(readFileSync(join(relay.directory, "queue", "pid", "master.pid"), "utf8"));
  return { name, port: relay.port, pid, stop: () => relay.stop(), ...slow?.system };
}

/** So late that none of them is tried while we measure. */
const nextWeek = (): number => Date.now() + 7 * 86_400_000;
