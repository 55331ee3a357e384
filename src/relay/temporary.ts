/**
 * A relay for one message, where none runs: the same services on the same configuration, with a queue in
 * memory and no sockets. What is still in it when it is closed is gone, so it is for messages that nobody would miss.
 */
import { tmpdir } from "node:os";
import type { LoadedConf } from "../conf/load.ts";
import { ConfError } from "../conf/problem.ts";
import { createLog, type LogSink } from "../log/log.ts";
import { openMemoryStore } from "../queue/open.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { configure } from "./configuration.ts";
import { gatherMaterials } from "./materials.ts";
import { Relay } from "./relay.ts";

export interface TemporaryRelay {
  /** Where a message is put for it, as sendmail does. */
  readonly maildrop: string;
  close(): Promise<void>;
}

/** Throws ConfError where the configuration cannot be used. `sink` gets its log. */
export async function startTemporaryRelay(
  runtime: Runtime,
  loaded: LoadedConf,
  sink: LogSink,
): Promise<TemporaryRelay> {
  const { files, clock, random } = runtime;
  const configuration = configure(loaded.texts, loaded.problems);
  const log = createLog({
    sink,
    now: () => clock.now(),
    service: "relay",
    slot: 1,
    tag: configuration.conf.syslog_name,
  });
  const { materials, problems } = await gatherMaterials(runtime, configuration, log);
  if (problems.length > 0) throw new ConfError(problems);
  const directory = `${tmpdir()}/postern-${random.bytes(8).toString("hex")}`;
  const maildrop = `${directory}/maildrop`;
  await files.makeDirectory(directory, 0o700);
  await files.makeDirectory(maildrop, 0o700);
  const store = await openMemoryStore({ owner: "temporary", clock, log });
  const relay = new Relay({
    ...{ runtime, configuration, materials, store, log, maildrop },
    queueDirectory: directory,
    failed: (error) => log.panic(String(error)),
  });
  await relay.serve([]);
  relay.schedule(undefined);
  return {
    maildrop,
    async close() {
      await relay.stop();
      for (const name of await files.list(maildrop).catch(() => []))
        await files.remove(`${maildrop}/${name}`).catch(() => {});
      await files.removeDirectory(maildrop).catch(() => {});
      await files.removeDirectory(directory).catch(() => {});
    },
  };
}
