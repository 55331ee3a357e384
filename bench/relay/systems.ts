import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startPostern } from "../../test/peers/postern.ts";
import { startPostfix } from "../../test/peers/postfix.ts";

/** A mail system under measurement. */
export interface System {
  readonly name: string;
  readonly port: number;
  /** The process that all others of it descend from. */
  readonly pid: number;
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
}

function configuration({ relayTo, login, own }: SystemOptions) {
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
  const relay = await startPostern({ ...configuration(options), node: options.node ?? [] });
  return { name, port: relay.port, pid: relay.masterPid, stop: () => relay.stop() };
}

export async function benchPostfix(name: string, options: SystemOptions): Promise<System> {
  const masterCf = ["tlsproxy unix - - n - 0 tlsproxy"];
  const relay = await startPostfix({ ...configuration(options), masterCf });
  const pid = Number(readFileSync(join(relay.directory, "queue", "pid", "master.pid"), "utf8"));
  return { name, port: relay.port, pid, stop: () => relay.stop() };
}
