/** The host that Postern runs on: the queue's disk, the ports, what else runs there, the clock. */

import { queuePaths } from "../conf/queue-paths.ts";
import { runningPostfix } from "../master/postfix-lock.ts";
import { ListenError, Sockets } from "../master/sockets.ts";
import { networkFileSystem } from "../queue/sqlite/file-system.ts";
import { errorCode } from "../runtime/files.ts";
import { type Finding, finding, placeOf } from "./finding.ts";
import type { Scene } from "./scene.ts";
import { quoted } from "./shell.ts";

export async function inspectHost(scene: Scene): Promise<Finding[]> {
  const found = await Promise.all([queueDirectory(scene), ports(scene), clock(scene)]);
  return found.flat();
}

/** With fewer inodes than this left, a file system is nearly full. */
const fewInodes = 1000;

async function queueDirectory(scene: Scene): Promise<Finding[]> {
  const { runtime, configuration } = scene;
  const { conf, settings } = configuration;
  const place = placeOf(settings, "queue_directory");
  const directory = conf.queue_directory;
  const existing = await nearestExisting(scene, directory);
  const findings: Finding[] = [];
  const network = await networkFileSystem(runtime.files, existing).catch(() => undefined);
  if (network) {
    findings.push(
      finding("error", "queue-network", `queue_directory = ${directory} is on a network file system (${network})`, {
        ...place,
        why: "Neither locks nor syncs can be relied on there, and mail could be lost",
        remedy: "Set queue_directory to a directory on a local disk",
      }),
    );
  }
  const space = await runtime.files.space(existing).catch(() => undefined);
  const least = Math.max(conf.queue_minfree, conf.message_size_limit * 1.5);
  if (space && space.free_bytes < least) {
    findings.push(
      finding(
        "error",
        "queue-full",
        `${existing} has ${megabytes(space.free_bytes)} free, and ${megabytes(least)} are needed`,
        {
          ...place,
          why: "New mail is refused: 452 Insufficient system storage",
          remedy:
            "Make room on that disk, or set message_size_limit lower: room for one and a half messages of that size is kept",
        },
      ),
    );
  } else if (space && space.free_bytes < least * 4) {
    findings.push(
      finding("warning", "queue-nearly-full", `${existing} has only ${megabytes(space.free_bytes)} free`, {
        ...place,
        why: `Below ${megabytes(least)}, new mail is refused`,
        remedy: "Make room on that disk",
      }),
    );
  }
  if (space && space.free_inodes > 0 && space.free_inodes < fewInodes) {
    findings.push(
      finding("warning", "queue-inodes", `${existing} has room for ${space.free_inodes} more files only`, {
        ...place,
        why: "Without it, new mail is refused",
        remedy: `Remove files that nobody needs on that disk: df -i ${quoted(existing)}`,
      }),
    );
  }
  findings.push(...(await ownership(scene, directory)));
  return findings;
}

const megabytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`;

async function nearestExisting({ runtime: { files } }: Scene, path: string): Promise<string> {
  for (let each = path; each !== "/" && each !== "."; each = each.slice(0, each.lastIndexOf("/")) || "/") {
    if (await files.facts(each).catch(() => undefined)) return each;
  }
  return "/";
}

/** As root, the directory above the queue must be root's alone; a start refuses anything else. */
async function ownership({ runtime, configuration }: Scene, directory: string): Promise<Finding[]> {
  if (runtime.processes.uid() !== 0) return [];
  const facts = await runtime.files.facts(directory).catch(() => undefined);
  if (!facts) return [];
  const place = placeOf(configuration.settings, "queue_directory");
  const why =
    "Whoever could write there could put a link in the place of what root is about to make, so Postern does not start";
  if (facts.uid !== 0) {
    const command = `chown root ${quoted(directory)}`;
    return [
      finding("error", "queue-owner", `${directory} does not belong to root`, {
        ...place,
        ...{ why, remedy: "Make it root's", commands: [command] },
      }),
    ];
  }
  if ((facts.mode & 0o022) === 0) return [];
  const command = `chmod go-w ${quoted(directory)}`;
  return [
    finding("error", "queue-writable", `${directory} can be written by others than root`, {
      ...place,
      ...{ why, remedy: "Take that right away", commands: [command] },
    }),
  ];
}

/** Who listens where we want to: ourselves, which is well; a Postfix on the same files; or a stranger. */
async function ports({ runtime, directory, configuration, prepared }: Scene): Promise<Finding[]> {
  const { queue_directory } = configuration.conf;
  if (!prepared || (await ownMaster(runtime, queuePaths(queue_directory).masterPid))) return [];
  const postfix = await runningPostfix(runtime.files, queue_directory);
  const sockets = new Sockets(runtime.net);
  try {
    sockets.take(prepared.plan.wanted).keep();
    return [];
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    const [, line] = /\(master\.cf, line (\d+)\)/.exec(error.message) ?? [];
    return [
      finding("error", "port", error.message, {
        file: line ? `${directory}/master.cf` : "",
        line: Number(line ?? 0),
        why: postfix ? `Postfix runs on this configuration (process ${postfix})` : "Postern cannot take mail there",
        remedy: postfix ? "Stop it first" : "Stop the program that has it, or choose another port in master.cf",
        commands: postfix ? ["postfix stop"] : [],
      }),
    ];
  } finally {
    sockets.close();
  }
}

/** Whether the process that the file names is there. */
export async function ownMaster(runtime: Scene["runtime"], pidFile: string): Promise<boolean> {
  try {
    const file = await runtime.files.open(pidFile, 0);
    try {
      const bytes = Buffer.alloc(32);
      const text = bytes.toString("latin1", 0, await file.read(bytes)).trim();
      return /^\d+$/.test(text) && runtime.processes.signal(Number(text), 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === "") throw error;
    return false;
  }
}

/** No clock of ours can be earlier than the day on which this was written; nor much earlier than the newest of its files. */
const earliest_ms = Date.UTC(2026, 0, 1);
const slack_ms = 24 * 60 * 60 * 1000;

async function clock({ runtime, directory }: Scene): Promise<Finding[]> {
  const now = runtime.clock.now();
  const written = await runtime.files.facts(`${directory}/main.cf`).then(
    ({ mtime_ms }) => mtime_ms,
    () => 0,
  );
  if (now >= earliest_ms && now >= written - slack_ms) return [];
  return [
    finding("warning", "clock", `this host's clock says ${new Date(now).toISOString()}`, {
      why: "Certificates seem not to be valid yet, and mail is dated wrongly and taken for spam",
      remedy: "Set the clock, and have it kept right: timedatectl set-ntp true",
    }),
  ];
}
