/** An outage of the next server: mail is deferred meanwhile, and afterwards has to go out. */
import { join, resolve } from "node:path";
import { until } from "../../../test/lab/until.ts";
import { freePort } from "../../../test/peers/place.ts";
import { startPostern } from "../../../test/peers/postern.ts";
import { startPostfix } from "../../../test/peers/postfix.ts";
import { command } from "../command.ts";
import { allArrived, send } from "../measure.ts";
import type { Figures, Probe, Subject } from "../probe.ts";
import { startSmtpSink } from "../sinks.ts";
import { configuration } from "../systems.ts";

const launcher = resolve(import.meta.dirname, "../../../bin/postern");

export const drain: Probe = {
  name: "drain",
  what: "10,000 messages of 4 KiB, or --queued N, that were deferred in an outage: from postqueue -f until the last has arrived",
  async open({ node, queued = 10_000 }) {
    const closers: (() => Promise<void>)[] = [];
    const close = async (): Promise<void> => {
      for (const each of closers.toReversed()) await each();
    };
    try {
      const relayTo = await freePort();
      const postern = await startPostern({ ...configuration({ relayTo }), node });
      closers.push(() => postern.stop());
      const postfixTo = await freePort();
      const postfix = await startPostfix(configuration({ relayTo: postfixTo }));
      closers.push(() => postfix.stop());
      const flushOf = (directory: string) => ["-c", join(directory, "etc")];
      const subjects: Subject[] = [
        {
          name: "Postern",
          measure: () =>
            measure(postern, { relayTo, queued, flush: [launcher, ...flushOf(postern.directory), "postqueue", "-f"] }),
        },
        {
          name: "Postfix",
          measure: () =>
            measure(postfix, { relayTo: postfixTo, queued, flush: ["postqueue", ...flushOf(postfix.directory), "-f"] }),
        },
      ];
      return { subjects, close };
    } catch (error) {
      await close();
      throw error;
    }
  },
};

interface Outage {
  readonly relayTo: number;
  readonly queued: number;
  readonly flush: readonly string[];
}

async function measure(
  relay: { readonly port: number; log(): string },
  { relayTo, queued, flush: [program = "", ...args] }: Outage,
): Promise<Figures> {
  const before = deferrals(relay.log());
  await send(relay.port, { messages: queued, sessions: 20, size_bytes: 4096, kept: true });
  const all = () => deferrals(relay.log()) - before >= queued;
  await until(`${queued} messages are deferred`, all, { limit_s: 600 });
  const sink = await startSmtpSink(relayTo);
  try {
    const begun_ms = performance.now();
    const flushing = command(program, args);
    await Promise.all([flushing, allArrived(sink, queued)]);
    return { "msg/s": queued / ((performance.now() - begun_ms) / 1000) };
  } finally {
    await sink.stop();
  }
}

const deferrals = (log: string): number => log.split("status=deferred").length - 1;
