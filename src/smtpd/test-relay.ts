/**
 * What the SMTP server's tests share: a wire without a network, and a relay
 * behind the server that keeps what it is given.
 */
import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { type Log, memoryLog } from "../log/log.ts";
import { splitAddress } from "../rfc5321/path.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { NameError, type Names } from "../runtime/names.ts";
import type { Connection, ConnectionEvents, Endpoint } from "../runtime/net.ts";
import { noMaps } from "../table/maps.ts";
import { type SmtpdConf, smtpdParams } from "./params.ts";
import type { Intake, IntakeResult, RecipientFacts, SmtpdPorts, Transaction } from "./ports.ts";
import { compileRules, type SmtpdRules } from "./rules.ts";
import { SmtpServer } from "./server.ts";

export const testSettings: Partial<Record<string, string>> = {
  myhostname: "mail.test",
  mydestination: "here.test",
  mynetworks: "192.0.2.0/24",
  smtpd_banner: "mail.test ESMTP Postfix",
  smtpd_relay_restrictions: "permit_mynetworks, reject_unauth_destination",
  smtpd_relay_before_recipient_restrictions: "yes",
  smtpd_client_event_limit_exceptions: "192.0.2.0/24",
  smtpd_forbid_bare_newline_exclusions: "",
  smtpd_timeout: "300s",
  smtpd_hard_error_limit: "20",
  smtpd_junk_command_limit: "100",
  smtputf8_enable: "yes",
};

export function testConf(settings: Partial<Record<string, string>> = {}): SmtpdConf {
  return defaults({ ...smtpdParams, ...globalParams }, { ...testSettings, ...settings } as Record<string, string>);
}

export function testRules(conf: SmtpdConf): SmtpdRules {
  const { rules, problems } = compileRules(conf, { file: () => "", table: () => noMaps }, { at: () => undefined });
  if (!rules) throw new Error(problems.join("\n"));
  return rules;
}

/** One end of a connection, for a test to play the client. */
export class Wire implements Connection {
  readonly remote: Endpoint;
  readonly local: Endpoint = { address: "198.51.100.1", port: 25 };
  events: ConnectionEvents | undefined;
  /** What the server wrote, one entry a write. */
  readonly writes: string[] = [];
  paused = true;
  over = false;
  dead = false;
  /** The kernel takes no more. */
  full = false;

  constructor(address = "192.0.2.7") {
    this.remote = { address, port: 40_000 };
  }

  listen(events: ConnectionEvents): void {
    this.events = events;
    this.paused = false;
  }

  write(bytes: Uint8Array | string): boolean {
    this.writes.push(typeof bytes === "string" ? bytes : Buffer.from(bytes).toString("utf8"));
    return !this.full;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.write(bytes);
    this.over = true;
  }

  destroy(): void {
    if (this.dead) return;
    this.dead = true;
    this.events?.closed(undefined);
  }

  startTls(): never {
    throw new Error("no TLS on this wire");
  }

  acceptTls(): never {
    throw new Error("no TLS on this wire");
  }

  /** The client sends. */
  send(text: string | Buffer): void {
    this.events?.data(typeof text === "string" ? Buffer.from(text) : text);
  }

  /** What the server wrote since the last call. */
  take(): string {
    return this.writes.splice(0).join("");
  }
}

export interface Taken {
  readonly transaction: Transaction;
  body: string;
  fate: "open" | "committed" | "abandoned";
}

export interface TestRelay {
  readonly server: SmtpServer;
  readonly clock: ManualClock;
  readonly log: Log & { readonly lines: string[] };
  readonly taken: Taken[];
  /** What commit() answers; a function may take its time. */
  answer: (taken: Taken) => Promise<IntakeResult>;
  classify: SmtpdPorts["classify"];
  /** Answers data(): a promise holds the client back. */
  pressure: () => void | Promise<void>;
  room: boolean;
  connect(address?: string): Wire;
}

const nobody: Names = {
  addresses: () => Promise.reject(new NameError("notFound", "no")),
  mx: () => Promise.reject(new NameError("notFound", "no")),
  srv: () => Promise.reject(new NameError("notFound", "no")),
  reverse: () => Promise.reject(new NameError("notFound", "no")),
  native: () => Promise.reject(new NameError("notFound", "no")),
};

export function testRelay(settings: Partial<Record<string, string>> = {}, names: Names = nobody): TestRelay {
  const conf = testConf({ smtpd_peername_lookup: "no", ...settings });
  const clock = new ManualClock();
  const log = memoryLog();
  const taken: Taken[] = [];
  let ids = 0xa0;
  const relay: Omit<TestRelay, "server" | "connect"> = {
    clock,
    log,
    taken,
    answer: async ({ transaction }) => ({ kind: "queued", id: transaction.id }),
    classify: byDomain,
    pressure: () => undefined,
    room: true,
  };
  const open = (transaction: Transaction): Intake => {
    const message: Taken = { transaction, body: "", fate: "open" };
    taken.push(message);
    return {
      data(bytes) {
        message.body += bytes.toString("latin1");
        return relay.pressure();
      },
      commit() {
        message.fate = "committed";
        return relay.answer(message);
      },
      abandon() {
        message.fate = "abandoned";
      },
    };
  };
  const server = new SmtpServer({
    conf,
    rules: testRules(conf),
    service: "smtp",
    clock,
    names,
    log,
    ports: {
      classify: (recipient, sender) => relay.classify(recipient, sender),
      nextId: () => (++ids).toString(16).toUpperCase(),
      open,
      freeSpace: () => relay.room,
    },
  });
  return Object.assign(relay, {
    server,
    connect(address?: string) {
      const wire = new Wire(address);
      server.take(wire);
      return wire;
    },
  });
}

function byDomain(recipient: string): RecipientFacts {
  const { domain } = splitAddress(recipient);
  return { class: domain === "" || domain === "here.test" ? "local" : "other" };
}

/** Lets what is due on the microtask queue happen. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
