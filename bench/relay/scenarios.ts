import { login } from "./login-sink.ts";
import { type Sink, startLoginSink, startSmtpSink } from "./sinks.ts";
import { benchPostern, benchPostfix, type System } from "./systems.ts";

/** A kind of load, and who is compared under it. */
export interface Scenario {
  readonly name: string;
  readonly what: string;
  readonly kept: boolean;
  readonly sessions: number;
  readonly size_bytes: number;
  /** Of each round, unless the command line says otherwise. */
  readonly messages: number;
  readonly sink: () => Promise<Sink>;
  /** It needs neither TLS nor a login: smtp-source can talk to it directly. */
  readonly sinkTakesAnybody: boolean;
  readonly recipients?: number;
  readonly memory?: boolean;
  /** In the order in which they take turns; the first is Postern, and the others are compared with it. */
  readonly systems: readonly Start[];
}

export interface StartOptions {
  /** Options for Postern's Node.js. */
  readonly node: readonly string[];
  /** How many messages wait, where some do. */
  readonly waiting: number;
}

type Start = (sink: Sink, options: StartOptions) => Promise<System>;

const plain: readonly Start[] = [
  (sink, { node }) => benchPostern("Postern", { relayTo: sink.port, node }),
  (sink) => benchPostfix("Postfix", { relayTo: sink.port }),
];

const withLogin: readonly Start[] = [
  (sink, { node }) => benchPostern("Postern", { relayTo: sink.port, login, node }),
  (sink) => benchPostfix("Postfix", { relayTo: sink.port, login }),
  (sink) =>
    benchPostfix("Postfix, TLS reuse", { relayTo: sink.port, login, own: { smtp_tls_connection_reuse: "yes" } }),
];

const slowDisk: readonly Start[] = [
  (sink, { node }) => benchPostern("Postern", { relayTo: sink.port, node, syncDelay_ms: 10 }),
  (sink) => benchPostfix("Postfix", { relayTo: sink.port, syncDelay_ms: 10 }),
];

/** Mail that is due later than any back-off could have made it is tried at once: these wait for a week. */
const patient = { maximal_backoff_time: "14d" } as const;

const fullQueue: readonly Start[] = [
  (sink, { node, waiting }) =>
    benchPostern(`Postern, ${waiting} wait`, { relayTo: sink.port, node, waiting, own: patient }),
  (sink, { node }) => benchPostern("Postern, empty queue", { relayTo: sink.port, node, own: patient }),
];

const anybody = { sink: startSmtpSink, sinkTakesAnybody: true } as const;

const common = { sessions: 20, size_bytes: 4096 } as const;

export const scenarios: readonly Scenario[] = [
  {
    ...{ name: "kept", what: "4 KiB, 20 sessions kept open, to smtp-sink" },
    ...{ ...common, kept: true, messages: 8000, sink: startSmtpSink, sinkTakesAnybody: true, systems: plain },
  },
  {
    ...{ name: "new", what: "4 KiB, a new connection for each message, 20 at a time, to smtp-sink" },
    ...{ ...common, kept: false, messages: 8000, sink: startSmtpSink, sinkTakesAnybody: true, systems: plain },
  },
  {
    ...{ name: "kept-auth", what: "4 KiB, 20 sessions kept open, to a server with STARTTLS and AUTH" },
    ...{ ...common, kept: true, messages: 5000, sink: startLoginSink, sinkTakesAnybody: false, systems: withLogin },
  },
  {
    ...{ name: "new-auth", what: "4 KiB, a new connection for each message, to a server with STARTTLS and AUTH" },
    ...{ ...common, kept: false, messages: 5000, sink: startLoginSink, sinkTakesAnybody: false, systems: withLogin },
  },
  {
    ...{ name: "large", what: "1 MiB, 10 sessions kept open, to smtp-sink; memory" },
    ...{ kept: true, sessions: 10, size_bytes: 1024 * 1024, memory: true, messages: 500, ...anybody, systems: plain },
  },
  {
    ...{ name: "recipients", what: "4 KiB, 50 recipients each, 20 sessions kept open, to smtp-sink" },
    ...{ ...common, kept: true, recipients: 50, messages: 1000, ...anybody, systems: plain },
  },
  {
    ...{ name: "slow-sync", what: "4 KiB, 64 sessions kept open, to smtp-sink; every sync takes 10 ms longer" },
    ...{ kept: true, sessions: 64, size_bytes: 4096, messages: 4000, ...anybody, systems: slowDisk },
  },
  {
    ...{ name: "deferred", what: "4 KiB, 20 sessions kept open, to smtp-sink, while messages wait; memory" },
    ...{ ...common, kept: true, memory: true, messages: 8000, ...anybody, systems: fullQueue },
  },
];
