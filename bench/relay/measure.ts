import { spawn } from "node:child_process";
import type { Round } from "./figures.ts";
import { cpuTime_s, watchMemory } from "./processes.ts";
import type { Sink } from "./sinks.ts";
import type { System } from "./systems.ts";

export interface Load {
  readonly messages: number;
  readonly sessions: number;
  readonly size_bytes: number;
  /** Sessions stay open; otherwise there is a new connection for each message. */
  readonly kept: boolean;
  /** Recipients of each message; 1 unless given. */
  readonly recipients?: number;
  /** Look at its memory meanwhile, which costs a little. */
  readonly memory?: boolean;
}

const poll_ms = 5;
/** So long nothing arrives: something is broken. */
const patience_ms = 60_000;

/** smtp-source(1) at a port, until it has handed over its last message. */
export async function send(
  port: number,
  { messages, sessions, size_bytes, kept, recipients = 1 }: Load,
): Promise<void> {
  const args = [...(kept ? ["-d"] : []), "-s", String(sessions), "-l", String(size_bytes), "-m", String(messages)];
  if (recipients > 1) args.push("-r", String(recipients));
  const addresses = ["-f", "sender@example.org", "-t", "recipient@example.com"];
  const source = spawn("smtp-source", [...args, ...addresses, `127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const status = await new Promise((resolve) => source.once("exit", (code, signal) => resolve(code ?? signal)));
  if (status !== 0) throw new Error(`smtp-source ended with ${status}`);
}

/**
 * One load through one system: the time from its first connection until its last message has arrived at
 * the sink, and what its processes have used meanwhile.
 */
export async function round(system: System, sink: Sink, load: Load): Promise<Round> {
  const wanted = sink.arrived() + load.messages;
  const memory = load.memory ? watchMemory(system.pid) : undefined;
  const cpu_s = cpuTime_s(system.pid);
  const begun_ms = performance.now();
  const sending = send(system.port, load);
  sending.catch(() => {});
  await allArrived(sink, wanted);
  const seconds = (performance.now() - begun_ms) / 1000;
  await sending;
  // What it still has to write into its queue and its log belongs to these messages.
  await pause(300);
  if (sink.arrived() !== wanted) throw new Error(`${sink.arrived() - wanted} messages too many have arrived`);
  return { messages: load.messages, seconds, cpu_s: cpuTime_s(system.pid) - cpu_s, memory_MiB: memory?.stop() };
}

/** The same without a mail system between: what the machine can do at most. */
export async function limit(sink: Sink, load: Load): Promise<Round> {
  const wanted = sink.arrived() + load.messages;
  const begun_ms = performance.now();
  await Promise.all([send(sink.port, load), allArrived(sink, wanted)]);
  return { messages: load.messages, seconds: (performance.now() - begun_ms) / 1000, cpu_s: Number.NaN };
}

/** Waits until the sink has had so many messages. */
export async function allArrived(sink: Sink, wanted: number): Promise<void> {
  let seen = 0;
  for (let last_ms = performance.now(); ; ) {
    const arrived = sink.arrived();
    if (arrived >= wanted) return;
    if (arrived > seen) last_ms = performance.now();
    seen = arrived;
    if (performance.now() - last_ms > patience_ms) throw new Error(`${wanted - arrived} messages have not arrived`);
    await pause(poll_ms);
  }
}

const pause = (delay_ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delay_ms));
