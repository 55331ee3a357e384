import type { QueueEntry } from "../queue/store.ts";
import type { Connection, Listener, Net } from "../runtime/net.ts";

/**
 * What commands ask a running relay, over a Unix socket that every local user may
 * open: one line of JSON in, lines of JSON out, the last one `{"end":true}` or
 * `{"error":"…"}`. It tells what `mailq` tells anybody and starts deliveries early; it
 * changes nothing else.
 */
export type ControlRequest =
  | { readonly command: "list" }
  | { readonly command: "flush"; readonly id?: string; readonly site?: string }
  | { readonly command: "status" };

export interface ControlPorts {
  list(after: string | undefined, limit: number): Promise<QueueEntry[]>;
  /** The number of messages that are now due. */
  flush(which: { readonly id?: string; readonly site?: string }): Promise<number>;
  status(): Promise<object>;
}

const requestLimit_bytes = 4096;
const pageSize = 200;
const connectionLimit = 50;

export async function startControl(net: Net, path: string, ports: ControlPorts): Promise<Listener> {
  let open = 0;
  return net.listen({ path }, (connection) => {
    if (open >= connectionLimit) {
      connection.end(`${JSON.stringify({ error: "too many commands at once: try again" })}\n`);
      connection.listen({ data() {}, ended: () => connection.end(), drained() {}, closed() {} });
      return;
    }
    open++;
    serve(connection, ports, () => open--);
  });
}

function serve(connection: Connection, ports: ControlPorts, closed: () => void): void {
  let request = "";
  let answering = false;
  let drained: (() => void) | undefined;
  connection.listen({
    data(bytes) {
      request += bytes.toString("latin1");
      if (answering) return;
      if (request.length > requestLimit_bytes) return connection.destroy();
      if (!request.includes("\n")) return;
      answering = true;
      const text = Buffer.from(request.slice(0, request.indexOf("\n")), "latin1").toString();
      const write = (value: object): Promise<void> | void => {
        if (connection.write(Buffer.from(`${JSON.stringify(value)}\n`))) return;
        return new Promise((resolve) => {
          drained = resolve;
        });
      };
      answer(text, ports, write)
        .then(
          () => write({ end: true }),
          (error: unknown) => write({ error: error instanceof Error ? error.message : String(error) }),
        )
        .finally(() => connection.end());
    },
    ended: () => {
      if (!answering) connection.end();
    },
    drained: () => drained?.(),
    closed() {
      drained?.();
      closed();
    },
  });
}

async function answer(
  text: string,
  ports: ControlPorts,
  write: (value: object) => Promise<void> | void,
): Promise<void> {
  const request = JSON.parse(text) as Partial<ControlRequest>;
  switch (request.command) {
    case "list": {
      let after: string | undefined;
      for (;;) {
        const page = await ports.list(after, pageSize);
        for (const entry of page) await write(entry);
        after = page.at(-1)?.envelope.id;
        if (after === undefined) return;
      }
    }
    case "flush":
      return write({
        flushed: await ports.flush({
          ...(typeof request.id === "string" ? { id: request.id } : {}),
          ...(typeof request.site === "string" ? { site: request.site } : {}),
        }),
      });
    case "status":
      return write(await ports.status());
    default:
      throw new Error("no such command");
  }
}
