/** How long sendmail -t takes for a small message: Postern's and Postfix's into the maildrop, msmtp's to a server. */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { makePlace, missing } from "../../../test/peers/place.ts";
import { startPostern } from "../../../test/peers/postern.ts";
import { startPostfix } from "../../../test/peers/postfix.ts";
import { command } from "../command.ts";
import { median } from "../figures.ts";
import { allArrived } from "../measure.ts";
import type { Probe, Subject } from "../probe.ts";
import { startSmtpSink } from "../sinks.ts";
import { configuration } from "../systems.ts";

const runs = 15;
const head = "From: sender@example.org\nTo: recipient@example.com\nSubject: Backup of the night\n\n";
const launcher = resolve(import.meta.dirname, "../../../bin/postern");

export const sendmail: Probe = {
  name: "sendmail",
  what: `sendmail -t of 2 KB, wall time, median of ${runs} a round; msmtp hands it to the server itself`,
  async open({ node }) {
    const lacking = missing("msmtp");
    if (lacking) throw new Error(`npm run bench sendmail ${lacking}`);
    const closers: (() => unknown)[] = [];
    const close = async (): Promise<void> => {
      for (const each of closers.toReversed()) await each();
    };
    try {
      const place = makePlace("sendmail");
      closers.push(place.remove);
      const message = join(place.directory, "message");
      writeFileSync(message, head + "A line of a report that a job has written.\n".repeat(45));
      const sink = await startSmtpSink();
      closers.push(() => sink.stop());
      const postern = await startPostern({ ...configuration({ relayTo: sink.port }), node });
      closers.push(() => postern.stop());
      const postfix = await startPostfix(configuration({ relayTo: sink.port }));
      closers.push(() => postfix.stop());
      const straight = [`--host=127.0.0.1`, `--port=${sink.port}`, "--tls=off", "--auth=off"];
      const lines: Readonly<Record<string, readonly [string, ...string[]]>> = {
        Postern: [launcher, "-c", join(postern.directory, "etc"), "sendmail", "-t"],
        Postfix: ["sendmail", "-C", join(postfix.directory, "etc"), "-t"],
        msmtp: ["msmtp", ...straight, "--from=sender@example.org", "-t"],
      };
      const subjects = Object.entries(lines).map(([name, [program, ...args]]): Subject => {
        const measure = async () => {
          const wanted = sink.arrived() + runs;
          const walls_ms: number[] = [];
          for (let run = 0; run < runs; run++) walls_ms.push(await command(program, args, message));
          // What it took must have gone on, and nothing of it may disturb the next one.
          await allArrived(sink, wanted);
          return { "wall ms": median(walls_ms) };
        };
        return { name, measure };
      });
      return { subjects, close };
    } catch (error) {
      await close();
      throw error;
    }
  },
};
