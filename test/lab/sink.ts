import { chownSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { makePlace } from "../peers/place.ts";
import { atExit } from "./at-exit.ts";
import type { Host } from "./network.ts";
import { until } from "./until.ts";

/** Postfix's smtp-sink: takes all mail, and keeps each message in a file, so that it can be counted. */
export interface Sink {
  /** For relayhost. */
  readonly relayhost: string;
  /** By Message-Id, how often each message has arrived so far. */
  messages(): ReadonlyMap<string, number>;
  /** Waits until this many different messages have arrived. */
  received(count: number): Promise<ReadonlyMap<string, number>>;
  /** What one message came as, the envelope on top as X-Mail-Args and X-Rcpt-Args. */
  texts(): readonly string[];
  stop(): void;
}

export async function startSink(
  host: Host,
  port: number,
  { options = [] }: { readonly options?: readonly string[] } = {},
): Promise<Sink> {
  const { directory, remove } = makePlace("sink");
  const dumps = join(directory, "dumps");
  mkdirSync(dumps);
  const { uid, gid } = statSync("/var/lib/postfix");
  chownSync(dumps, uid, gid);
  const at = `${host.address}:${port}`;
  const child = host.start("smtp-sink", ["-u", "postfix", ...options, "-d", `${dumps}/m.`, at, "1024"]);
  // Otherwise it would make its directory anew when that is removed.
  const keep = atExit(() => void child.kill("SIGKILL"));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await until(`smtp-sink on ${at}`, () => host.run("ss", ["-Hltn", "src", at]).stdout.includes("LISTEN"));
  const read = new Map<string, string>();
  const texts = (): readonly string[] => {
    for (const name of readdirSync(dumps)) {
      const known = read.get(name);
      if (known?.endsWith("\n\n")) continue;
      read.set(name, readFileSync(join(dumps, name), "latin1"));
    }
    // A file is whole when the empty line at its end is there.
    return [...read.values()].filter((text) => text.endsWith("\n\n"));
  };
  const messages = (): ReadonlyMap<string, number> => {
    const counts = new Map<string, number>();
    for (const text of texts()) {
      const id = /^Message-Id: (.*)$/im.exec(text)?.[1] ?? text;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  };
  return {
    relayhost: `[${host.address}]:${port}`,
    messages,
    texts,
    received: (count) =>
      until(
        `${count} messages at the sink`,
        () => {
          const found = messages();
          return found.size >= count && found;
        },
        { about: () => `${messages().size} were there` },
      ),
    stop() {
      keep();
      child.kill("SIGKILL");
      void ended.then(remove);
    },
  };
}
