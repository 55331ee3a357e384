import { evaluate } from "../conf/evaluate.ts";
import { loadConf } from "../conf/load.ts";
import { globalParams } from "../conf/params.ts";
import { ConfError } from "../conf/problem.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import { errorCode } from "../runtime/files.ts";
import type { CommandIo } from "./io.ts";

/** sysexits(3) */
const tempFail = 75;

const answerLimit_bytes = 1024 * 1024;
/** Longer than a reload may take: the relay before may have to end first, and the next to come up. */
const answerTimeout_ms = 600_000;

/** Gives the master an order and waits until it is carried out. Undefined: there is no master. */
export async function askMaster(command: string, io: CommandIo): Promise<{ text: string; status: number } | undefined> {
  const { masterSocket } = await masterPlace(io);
  const { net, clock } = io.runtime;
  const connection = await net.connect({ address: masterSocket, port: 0, timeout_ms: 5000 }).catch((error: unknown) => {
    if (errorCode(error) !== "EACCES") return undefined;
    throw new ConfError([
      {
        file: masterSocket,
        line: 0,
        text: "only the user that started Postern may give it orders",
        remedy: "Run this as root.",
      },
    ]);
  });
  if (!connection) return undefined;
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let received = 0;
    const timer = clock.after(answerTimeout_ms, () => connection.destroy());
    connection.listen({
      data(bytes) {
        parts.push(bytes);
        received += bytes.length;
        if (received > answerLimit_bytes) connection.destroy();
      },
      ended: () => connection.end(),
      drained() {},
      closed() {
        timer.cancel();
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString()));
        } catch {
          resolve({
            text: `the mail system did not answer to ${command}: it has ended, or is stuck`,
            status: tempFail,
          });
        }
      },
    });
    connection.write(`${command}\n`);
  });
}

export async function masterPlace(io: CommandIo): Promise<ReturnType<typeof queuePaths>> {
  const { files, host } = io.runtime;
  const { queue_directory } = globalParams;
  const { settings, problems } = await loadConf(files, io.directory, {
    ...{ declared: globalParams, host, env: io.env, mainOnly: true },
  });
  const missing = problems.find(({ file, line }) => file.endsWith("/main.cf") && line === 0);
  if (missing) throw new ConfError([missing]);
  return queuePaths(evaluate({ queue_directory }, settings).queue_directory);
}
