import { queuePaths } from "../conf/queue-paths.ts";
import { inspectQueue } from "../queue/inspect.ts";
import { type Finding, finding } from "./finding.ts";
import { ownMaster } from "./host.ts";
import type { Scene } from "./scene.ts";
import { quoted } from "./shell.ts";

/** The mail that waits: whether its files are sound. Who may not read them hears nothing of it. */
export async function inspectQueueFiles({ runtime, configuration, directory }: Scene): Promise<Finding[]> {
  const { files } = runtime;
  const { queue: place, masterPid } = queuePaths(configuration.conf.queue_directory);
  const mayRead = await files.list(place).then(
    () => true,
    () => false,
  );
  if (!mayRead) return [];
  const running = await ownMaster(runtime, masterPid);
  const damaged: string[] = [];
  const findings: Finding[] = [];
  try {
    for await (const { kind, id, text } of inspectQueue(files, place, running)) {
      const named = id === undefined ? text : `${id}: ${text}`;
      if (kind === "note") findings.push(finding("notice", "queue-note", named));
      else if (damaged.push(named) >= mostNamed) break;
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    findings.push(finding("notice", "queue-note", `the mail queue in ${place} cannot be inspected: ${reason}`));
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
