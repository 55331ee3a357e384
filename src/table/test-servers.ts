import { createServer, type Server, type Socket } from "node:net";
import { ManualClock } from "../runtime/manual-clock.ts";
import { realRuntime } from "../runtime/real.ts";
import { TableError } from "./table.ts";
import { TableSet } from "./table-set.ts";

/** For tests of tables that ask servers: servers that do what a test says, and tables over given files. */
export interface TestServer {
  readonly port: number;
  /** How often somebody has connected. */
  connections: number;
  /** Ends every connection. */
  hangUp(): Promise<void>;
  /** Ends, and takes no more. */
  close(): Promise<void>;
}

/** A server on 127.0.0.1, or on a path; `taken` is called with each connection. */
export async function serveTables(taken: (socket: Socket) => void, path?: string): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const hangUp = async (): Promise<void> => {
    for (const socket of sockets) await new Promise((done) => socket.once("close", done).destroy());
  };
  const server: Server = createServer((socket) => {
    running.connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    taken(socket);
  });
  await new Promise<void>((listening) =>
    path ? server.listen(path, listening) : server.listen(0, "127.0.0.1", listening),
  );
  const bound = server.address();
  const close = async (): Promise<void> => {
    const closed = new Promise((done) => server.close(done));
    await hangUp();
    await closed;
  };
  const port = typeof bound === "object" && bound ? bound.port : 0;
  const running: TestServer = { port, connections: 0, hangUp, close };
  return running;
}

export interface TestTables {
  readonly set: TableSet;
  readonly clock: ManualClock;
  readonly warnings: string[];
}

/** Tables whose files are these texts, with a clock that stands still. */
export function testTables(
  files: Readonly<Record<string, string>> = {},
  clock: ManualClock = new ManualClock(),
): TestTables {
  const { net, names, random } = realRuntime();
  const warnings: string[] = [];
  const set = new TableSet({
    defaultType: "hash",
    async read(path) {
      const text = files[path];
      if (text === undefined) throw new TableError("config", `open database ${path}: No such file or directory`);
      return { bytes: Buffer.from(text), mtime_ms: 0 };
    },
    modified: async () => undefined,
    warn: (text) => void warnings.push(text),
    world: { random, network: { net, names, clock } },
  });
  return { set, clock, warnings };
}

/** For assert.rejects: nothing is known, for this reason. */
export const cannotTell =
  (reason: RegExp) =>
  (error: unknown): boolean =>
    error instanceof TableError && error.kind === "retry" && reason.test(error.message);
