import type { Connection, Listener } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";

/**
 * How `postern reload`, `stop` and the like reach the master: a Unix socket that only its owner may
 * open (the master's: root). One word and a newline in; `{"text":…,"status":…}` out, when it is done.
 */
export type MasterCommand = (command: string) => Promise<{ readonly text: string; readonly status: number }>;

const wordLimit_chars = 64;

export async function startMasterControl(runtime: Runtime, path: string, run: MasterCommand): Promise<Listener> {
  await runtime.files.remove(path).catch(() => {});
  const before = runtime.processes.umask(0o177);
  try {
    return await runtime.net.listen({ path }, (connection) => serve(connection, run));
  } finally {
    runtime.processes.umask(before);
  }
}

function serve(connection: Connection, run: MasterCommand): void {
  let received = "";
  let asked = false;
  connection.listen({
    data(bytes) {
      received += bytes.toString("latin1");
      if (asked) return;
      if (received.length > wordLimit_chars) return connection.destroy();
      const newline = received.indexOf("\n");
      if (newline < 0) return;
      asked = true;
      run(received.slice(0, newline)).then(
        (result) => connection.end(Buffer.from(`${JSON.stringify(result)}\n`)),
        (error: unknown) => connection.end(Buffer.from(`${JSON.stringify({ text: String(error), status: 70 })}\n`)),
      );
    },
    ended() {
      if (!asked) connection.end();
    },
    drained() {},
    closed() {},
  });
}
