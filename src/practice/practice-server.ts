import type { Connection, Listener } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { makeCertificate, type OwnCertificate } from "./certificate.ts";
import type { PracticeContext, ReceivedMessage } from "./practice-context.ts";
import { PracticeSession } from "./practice-session.ts";
import type { Script } from "./script.ts";
import { serverMechanisms } from "./server-mechanisms.ts";

export type { ReceivedMessage } from "./practice-context.ts";

/**
 * A smarthost to practise with: it speaks ESMTP like a provider's, demands
 * STARTTLS and AUTH, takes mail for anybody, and keeps what it got in memory.
 * For first steps and for tests; on loopback, since it is nobody's mail server.
 */
export interface PracticeOptions {
  readonly address: string;
  /** 0: the kernel chooses. */
  readonly port: number;
  /** What it calls itself; "practice.example" unless given. */
  readonly name?: string;
  /** User names and their passwords. */
  readonly users?: Readonly<Record<string, string>>;
  /** MAIL is refused before STARTTLS, AUTH is not offered before it. Default yes. */
  readonly requireTls?: boolean;
  /** MAIL is refused before AUTH. Default yes. */
  readonly requireAuth?: boolean;
  /** Offered in this order; all that are known unless given. Names that are unknown are offered too, and refused. */
  readonly mechanisms?: readonly string[];
  /** false: no STARTTLS. Unless given, one is made for `name`, "localhost" and `address`. */
  readonly certificate?: OwnCertificate | false;
  /** TLS from the first byte (port 465). */
  readonly wrapper?: boolean;
  /** Lines of the EHLO reply in place of PIPELINING, SIZE, 8BITMIME, SMTPUTF8 and ENHANCEDSTATUSCODES; STARTTLS and AUTH are added where they apply. */
  readonly extensions?: readonly string[];
  readonly sizeLimit_bytes?: number;
  /** How many messages are kept; the oldest go first. Default 100. */
  readonly keep?: number;
  /** Called with each message, kept or not. */
  readonly received?: (message: ReceivedMessage) => void;
  readonly script?: Script;
}

export interface PracticeServer {
  readonly address: string;
  readonly port: number;
  readonly name: string;
  /** What clients have to trust; undefined where there is no TLS. */
  readonly certificate: string | undefined;
  /** Those kept, oldest first. */
  readonly messages: readonly ReceivedMessage[];
  /** How many connections there were. */
  readonly connections: number;
  /** Every command line of every connection, in order, the last 1000: "1: EHLO client.example". What went into AUTH is there too: this is for practice. */
  readonly commands: readonly string[];
  /** Stops listening and cuts the connections. */
  close(): Promise<void>;
}

const commands_kept = 1000;

export async function startPracticeServer(
  runtime: Pick<Runtime, "net" | "clock" | "random" | "crypto">,
  options: PracticeOptions,
): Promise<PracticeServer> {
  const messages: ReceivedMessage[] = [];
  const commands: string[] = [];
  const open = new Set<Connection>();
  let connections = 0;
  const context = contextOf(runtime, options, {
    received(message) {
      messages.push(message);
      if (messages.length > (options.keep ?? 100)) messages.shift();
      options.received?.(message);
    },
    noted(command) {
      commands.push(command);
      if (commands.length > commands_kept) commands.shift();
    },
  });
  const listener: Listener = await runtime.net.listen(
    { address: options.address, port: options.port },
    (connection) => {
      open.add(connection);
      new PracticeSession(connection, ++connections, context, () => open.delete(connection)).begin();
    },
  );
  return {
    address: listener.bound.address,
    port: listener.bound.port,
    name: context.name,
    certificate: context.certificate?.certificate,
    messages,
    get connections() {
      return connections;
    },
    commands,
    async close() {
      const closed = listener.close();
      for (const connection of open) connection.destroy();
      await closed;
    },
  };
}

function contextOf(
  runtime: PracticeContext["runtime"],
  options: PracticeOptions,
  calls: Pick<PracticeContext, "received" | "noted">,
): PracticeContext {
  const name = options.name ?? "practice.example";
  const sizeLimit_bytes = options.sizeLimit_bytes ?? 10_240_000;
  const made = () =>
    makeCertificate({
      names: [name, "localhost", options.address],
      notBefore_ms: runtime.clock.now() - 3_600_000,
      days: 365,
    });
  return {
    ...calls,
    runtime,
    name,
    users: options.users ?? {},
    requireTls: options.requireTls ?? true,
    requireAuth: options.requireAuth ?? true,
    mechanisms: options.mechanisms ?? Object.keys(serverMechanisms),
    certificate: options.certificate === false ? undefined : (options.certificate ?? made()),
    wrapper: options.wrapper ?? false,
    extensions: options.extensions ?? [
      "PIPELINING",
      `SIZE ${sizeLimit_bytes}`,
      "8BITMIME",
      "SMTPUTF8",
      "ENHANCEDSTATUSCODES",
    ],
    sizeLimit_bytes,
    script: options.script ?? (() => undefined),
  };
}
