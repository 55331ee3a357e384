/** A client over the real network, with a configuration by hand, for tests. */
import { defaults } from "../../conf/defaults.ts";
import { globalParams } from "../../conf/params.ts";
import { contentParams } from "../../content/params.ts";
import { dnsParams } from "../../dns/params.ts";
import { memoryLog } from "../../log/log.ts";
import type { DeliveryRequest } from "../../queue/delivery.ts";
import { pendingRecipient } from "../../queue/message.fixture.ts";
import type { Envelope, Recipient } from "../../queue/message.ts";
import { chunkSize_bytes } from "../../queue/message.ts";
import { AddressMap } from "../../routing/address-map.ts";
import { realClock } from "../../runtime/clock.ts";
import { realRuntime } from "../../runtime/real.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { everyMechanism } from "../../sasl/filter.ts";
import { Maps } from "../../table/maps.ts";
import { TableError } from "../../table/table.ts";
import { tlsParams } from "../../tls/params.ts";
import { TlsPolicies } from "../../tls/policy.ts";
import { SmtpClient } from "../client.ts";
import { outgoingRules } from "../content-filter.ts";
import { smtpParams } from "../params.ts";
import type { SmtpConf, SmtpParts } from "../parts.ts";

const allParams = { ...globalParams, ...contentParams, ...dnsParams, ...tlsParams, ...smtpParams };

export type Written = Partial<Record<keyof typeof allParams, string>>;

export function testConf(written: Written = {}): SmtpConf {
  const options = written.smtp_sasl_security_options ?? "noplaintext, noanonymous";
  const tlsOptions = written.smtp_sasl_tls_security_options ?? options;
  return defaults(allParams, {
    myhostname: "relay.test",
    smtp_helo_name: "relay.test",
    recipient_delimiter: "",
    smtp_sasl_security_options: options,
    smtp_sasl_tls_security_options: tlsOptions,
    smtp_sasl_tls_verified_security_options: tlsOptions,
    ...written,
  }) as SmtpConf;
}

export function mapsOf(entries: Readonly<Record<string, string>> | TableError): Maps {
  const table = { get: (key: string) => (entries as Record<string, string>)[key.toLowerCase()], close: async () => {} };
  return new Maps([
    { reference: "inline:test", patterns: false, current: entries instanceof TableError ? entries : table },
  ]);
}

export interface TestClient {
  readonly client: SmtpClient;
  readonly log: ReturnType<typeof memoryLog>;
  readonly parts: SmtpParts;
}

export interface TestOptions {
  readonly passwords?: Readonly<Record<string, string>> | TableError;
  readonly generic?: Readonly<Record<string, string>> | TableError;
  readonly policies?: Readonly<Record<string, string>>;
  readonly authorities?: readonly string[];
  readonly runtime?: Partial<Runtime>;
  readonly self?: readonly string[];
  readonly protocol?: "smtp" | "lmtp";
  readonly queueDirectory?: string;
  /** What smtp_header_checks and its like name. */
  readonly checks?: (references: readonly string[]) => Maps;
}

export function testClient(written: Written = {}, options: TestOptions = {}): TestClient {
  const conf = testConf(written);
  const log = memoryLog();
  const runtime = { ...realRuntime(), ...options.runtime };
  const parts: SmtpParts = {
    protocol: options.protocol ?? "smtp",
    queueDirectory: options.queueDirectory ?? "/nonexistent",
    conf,
    runtime,
    log,
    passwords: options.passwords ? mapsOf(options.passwords) : new Maps([]),
    discardMaps: new Maps([]),
    generic: genericMap(options.generic),
    filter: everyMechanism,
    policies: new TlsPolicies(conf, options.policies ? mapsOf(options.policies) : new Maps([]), log),
    authorities: options.authorities ?? [],
    self: options.self ?? [],
    minimalBackoff_s: 300,
    checks: options.checks && outgoingRules(conf, options.checks),
  };
  return { client: new SmtpClient(parts), log, parts };
}

function genericMap(entries: TestOptions["generic"]): AddressMap {
  return new AddressMap({
    title: "smtp_generic_maps",
    maps: entries ? mapsOf(entries) : new Maps([]),
    rewriter: { rewrite: (address) => address },
    search: { delimiter: "+", ownerRequestSpecial: true, isLocal: (domain) => domain === "local.test" },
    propagate: false,
  });
}

export interface TestMessage {
  readonly sender?: string;
  readonly to?: readonly (string | Partial<Recipient>)[];
  readonly body?: string | Buffer;
  readonly envelope?: Partial<Envelope>;
  readonly age_ms?: number;
}

let ids = 0;

/** A delivery request for all recipients over one next hop. */
export function requestTo(nexthop: string, message: TestMessage = {}): DeliveryRequest {
  const body =
    typeof message.body === "object"
      ? message.body
      : Buffer.from(message.body ?? "Subject: test\r\n\r\nhello\r\n", "latin1");
  const recipients = (message.to ?? ["user@dest.test"]).map((each): Recipient => {
    const given: Partial<Recipient> = typeof each === "string" ? { address: each } : each;
    const address = given.address ?? "user@dest.test";
    return pendingRecipient(address, given);
  });
  const envelope: Envelope = {
    id: `A${(++ids).toString(16).toUpperCase().padStart(4, "0")}`,
    sender: message.sender ?? "sender@local.test",
    recipients,
    arrival_ms: realClock.now() - (message.age_ms ?? 0),
    size_bytes: body.length,
    eightBit: body.some((byte) => byte > 127),
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "pickup", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
    held: false,
    expired: false,
    warned: false,
    ...message.envelope,
  };
  const now = realClock.monotonic();
  return {
    envelope,
    recipients: recipients.map((_, index) => index),
    route: { transport: "smtp", nexthop },
    body: {
      chunk: async (index) => {
        const from = index * chunkSize_bytes;
        return from < body.length ? body.subarray(from, from + chunkSize_bytes) : undefined;
      },
    },
    active_ms: now,
    started_ms: now,
  };
}
