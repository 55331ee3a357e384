import { queuePaths } from "../conf/queue-paths.ts";
import { inspectQueue } from "../queue/inspect.ts";
import { isAlone } from "../relay/gone-owners.ts";
import { type Finding, finding } from "./finding.ts";
import type { Scene } from "./scene.ts";
import { quoted } from "./shell.ts";

/** The mail that waits: whether its files are sound. Who may not read them hears nothing of it. */
export async function inspectQueueFiles({ runtime, configuration, directory }: Scene): Promise<Finding[]> {
  const { files } = runtime;
  const place = queuePaths(configuration.conf.queue_directory).queue;
  const mayRead = await files.list(place).then(
    () => true,
    () => false,
  );
  if (!mayRead) return [];
  const running = !(await isAlone(files, place, "").catch(() => true));
  const damaged: string[] = [];
  const findings: Finding[] = [];
  for await (const { kind, id, text } of inspectQueue(files, place, running)) {
    if (kind === "note") findings.push(finding("notice", "queue-note", text));
    else if (damaged.push(id === undefined ? text : `${id}: ${text}`) >= mostNamed) break;
  }
  if (damaged.length === 0) return findings;
  const command = `postern -c ${quoted(directory)}`;
  findings.push(
    finding("warning", "queue-damaged", `the mail queue in ${place} is damaged: ${damaged.join("; ")}`, {
      why: "What cannot be read is not delivered; the rest is. The disk may be failing",
      remedy:
        "See to the disk, and have the queue repaired; what was set aside as corrupt stays so until it is removed",
      commands: [`${command} stop`, `${command} repair`, `${command} start`],
    }),
  );
  return findings;
}

/** Flaws that are named; a repair names all. */
const mostNamed = 10;
