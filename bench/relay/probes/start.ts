/** How soon it serves after `start`, and with a full queue how soon the first message leaves. */
import { readdirSync, utimesSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../../../test/lab/until.ts";
import { freePort } from "../../../test/peers/place.ts";
import { startPostern } from "../../../test/peers/postern.ts";
import { startPostfix } from "../../../test/peers/postfix.ts";
import { command } from "../command.ts";
import { fillQueue } from "../fill.ts";
import { allArrived, send } from "../measure.ts";
import type { Probe, ProbeOptions, Subject } from "../probe.ts";
import { startSmtpSink } from "../sinks.ts";
import { configuration } from "../systems.ts";

const launcher = resolve(import.meta.dirname, "../../../bin/postern");

/** A system with its files in place that does not run. */
interface Stopped {
  readonly name: string;
  readonly port: number;
  start(): Promise<unknown>;
  /** Ends it at once, and resolves when it has ended. */
  end(): Promise<unknown>;
  remove(): Promise<void>;
}

export const start: Probe = {
  name: "start",
  what: "from the start command until the first client is greeted",
  async open() {
    const relayTo = await freePort();
    const systems = await both(relayTo, 0);
    const subjects = systems.map((system): Subject => {
      const measure = async () => ({ "start s": await during(system, () => greeted(system.port)) });
      return { name: system.name, measure };
    });
    return { subjects, close: () => removeAll(systems) };
  },
};

export const startQueued: Probe = {
  name: "start-queued",
  what: "100,000 messages of 4 KiB, or --queued N, are due: from the start command until the first has arrived",
  async open({ queued = 100_000 }: ProbeOptions) {
    const relayTo = await freePort();
    const systems = await both(relayTo, queued);
    const subjects = systems.map((system): Subject => {
      const measure = async () => {
        const sink = await startSmtpSink(relayTo);
        try {
          return { "first delivery s": await during(system, () => allArrived(sink, 1)) };
        } finally {
          await sink.stop();
        }
      };
      return { name: system.name, measure };
    });
    return { subjects, close: () => removeAll(systems) };
  },
};

async function both(relayTo: number, queued: number): Promise<Stopped[]> {
  const postern = await stoppedPostern(relayTo, queued);
  try {
    return [postern, await stoppedPostfix(relayTo, queued)];
  } catch (error) {
    await postern.remove();
    throw error;
  }
}

async function removeAll(systems: readonly Stopped[]): Promise<void> {
  for (const system of systems) await system.remove();
}

async function stoppedPostern(relayTo: number, queued: number): Promise<Stopped> {
  const relay = await startPostern(configuration({ relayTo }));
  await relay.halt();
  if (queued > 0) await fillQueue(relay.queue, queued, Date.now());
  const given = ["-c", join(relay.directory, "etc")];
  return {
    ...{ name: "Postern", port: relay.port },
    start: () => command(launcher, [...given, "start"]),
    end: () => command(launcher, [...given, "abort"]),
    remove: () => relay.stop(),
  };
}

/** Its queue is filled by clients while its next server is away. */
async function stoppedPostfix(relayTo: number, queued: number): Promise<Stopped> {
  const relay = await startPostfix(configuration({ relayTo }));
  const given = ["-c", join(relay.directory, "etc")];
  const queue = join(relay.directory, "queue");
  if (queued > 0) {
    await send(relay.port, { messages: queued, sessions: 20, size_bytes: 4096, kept: true });
    const allDeferred = () => filesBelow(join(queue, "deferred")).length >= queued;
    await until(`${queued} messages are deferred`, allDeferred, { limit_s: 600 });
  }
  await command("postfix", [...given, "stop"]);
  // A file's time is when its message is due.
  for (const path of filesBelow(join(queue, "deferred"))) utimesSync(path, new Date(), new Date());
  return {
    ...{ name: "Postfix", port: relay.port },
    start: () => command("postfix", [...given, "start"]),
    end: () => command("postfix", [...given, "abort"]),
    remove: () => relay.stop(),
  };
}

function filesBelow(directory: string): string[] {
  const entries = readdirSync(directory, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

/** Seconds from its start until something has happened; afterwards it is ended. */
async function during(system: Stopped, happened: () => Promise<unknown>): Promise<number> {
  const begun_ms = performance.now();
  const starting = system.start();
  starting.catch(() => {});
  try {
    await happened();
    return (performance.now() - begun_ms) / 1000;
  } finally {
    await starting;
    await system.end();
    await until(`${system.name} has ended`, async () => !(await greets(system.port)));
  }
}

const patience_ms = 60_000;

async function greeted(port: number): Promise<void> {
  const end_ms = performance.now() + patience_ms;
  while (!(await greets(port))) {
    if (performance.now() > end_ms) throw new Error(`no greeting on port ${port}`);
    await pause(2);
  }
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("data", (bytes) => done(bytes.toString("latin1").startsWith("220")));
    socket.once("error", () => done(false));
    socket.once("close", () => done(false));
  });
}
