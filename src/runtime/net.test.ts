import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { type Connection, realNet } from "./net.ts";

async function server(taken: (connection: Connection) => void) {
  const listener = await realNet.listen({ address: "127.0.0.1", port: 0 }, taken);
  const socket = connect({ port: listener.bound.port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => chunks.push(bytes));
  await once(socket, "connect");
  return { socket, text: () => Buffer.concat(chunks).toString(), close: () => listener.close() };
}

test("a connection that is closed with its last words does not wait for the other side, which gets them all", async () => {
  const closed = Promise.withResolvers<Error | undefined>();
  const words = `${"x".repeat(50_000)}\r\n221 Bye\r\n`;
  const { socket, text, close } = await server((connection) => {
    connection.listen({ data() {}, ended() {}, drained() {}, closed: closed.resolve });
    connection.end(words, { close: true });
  });
  assert.equal(await closed.promise, undefined);
  if (!socket.readableEnded) await once(socket, "end");
  assert.equal(text(), words);
  socket.end();
  await close();
});

test("otherwise the other side may still send", async () => {
  const received: string[] = [];
  const closed = Promise.withResolvers<Error | undefined>();
  const { socket, close } = await server((connection) => {
    connection.listen({
      data: (bytes) => received.push(bytes.toString()),
      ended() {},
      drained() {},
      closed: closed.resolve,
    });
    connection.end("421 Later\r\n");
  });
  if (!socket.readableEnded) await once(socket, "end");
  socket.end("QUIT\r\n");
  assert.equal(await closed.promise, undefined);
  assert.deepEqual(received, ["QUIT\r\n"]);
  await close();
});
