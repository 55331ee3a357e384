import type { Connection, Listener } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";

/**
 * How `postern reload`, `stop` and the like reach the master: a Unix socket that only its owner may
 * open (the master's: root). One word and a newline in; `{"text":…,"status":…}` out, when it is done.
 */
export type MasterCommand = (command: string) => Promise<{ readonly text: string; readonly status: number }>;

const wordLimit_chars = 64;

/** close() lets those have their answer that have asked, and ends the others. */
export async function startMasterControl(
  runtime: Pick<Runtime, "files" | "net" | "processes">,
  path: string,
  run: MasterCommand,
): Promise<Listener> {
  await runtime.files.remove(path).catch(() => {});
  const idle = new Set<Connection>();
  // The socket comes into being while listen() is called, so the mask is ours for that long and no longer.
  const before = runtime.processes.umask(0o177);
  const listening = runtime.net.listen({ path }, (connection) => serve(connection, run, idle));
  runtime.processes.umask(before);
  const listener = await listening;
  await runtime.files.chmod(path, 0o600);
  return {
    bound: listener.bound,
    close() {
      const closed = listener.close();
      for (const connection of idle) connection.destroy();
      return closed;
    },
  };
}

function serve(connection: Connection, run: MasterCommand, idle: Set<Connection>): void {
  let received = "";
  let asked = false;
  idle.add(connection);
  const answer = (result: object): void => {
    connection.end(Buffer.from(`${JSON.stringify(result)}\n`));
    idle.add(connection);
  };
  connection.listen({
    data(bytes) {
      if (asked) return;
      received += bytes.toString("latin1");
      if (received.length > wordLimit_chars) return connection.destroy();
      const newline = received.indexOf("\n");
      if (newline < 0) return;
      asked = true;
      idle.delete(connection);
      run(received.slice(0, newline)).then(answer, (error: unknown) => answer({ text: String(error), status: 70 }));
    },
    ended() {
      if (!asked) connection.end();
    },
    drained() {},
    closed: () => void idle.delete(connection),
  });
}
