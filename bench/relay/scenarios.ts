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
  /** In the order in which they take turns; the first is Postern, and the others are compared with it. */
  readonly systems: readonly ((sink: Sink, node: readonly string[]) => Promise<System>)[];
}

const plain = [
  (sink: Sink, node: readonly string[]) => benchPostern("Postern", { relayTo: sink.port, node }),
  (sink: Sink) => benchPostfix("Postfix", { relayTo: sink.port }),
];

const withLogin = [
  (sink: Sink, node: readonly string[]) => benchPostern("Postern", { relayTo: sink.port, login, node }),
  (sink: Sink) => benchPostfix("Postfix", { relayTo: sink.port, login }),
  (sink: Sink) =>
    benchPostfix("Postfix, TLS reuse", { relayTo: sink.port, login, own: { smtp_tls_connection_reuse: "yes" } }),
];

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
];
