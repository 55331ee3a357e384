import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { DeliveryResult } from "../queue/delivery.ts";
import { type Connection, realNet } from "../runtime/net.ts";
import { lmtpParams, lmtpValues } from "./lmtp-params.ts";
import { requestTo, type TestMessage, type TestOptions, testClient, type Written } from "./testing/client.ts";
import { type Script, ScriptedServer } from "./testing/scripted-server.ts";

interface Stage {
  readonly server: ScriptedServer;
  readonly hop: string;
  readonly lines: readonly string[];
  deliver(message?: TestMessage, hop?: string): Promise<DeliveryResult>;
  readonly figures: () => { sessionsOpened: number; sessionsReused: number };
}

/** One server at a Unix socket in a directory of its own, and one client. */
async function onStage(
  script: Script,
  play: (stage: Stage) => Promise<void>,
  written: Written = {},
  options: TestOptions = {},
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "postern-lmtp-"));
  const server = await new ScriptedServer({ lmtp: true, ...script }).listen(realNet, 0, join(directory, "lmtp"));
  const { client, log } = testClient(written, { protocol: "lmtp", queueDirectory: directory, ...options });
  try {
    await play({
      server,
      hop: `unix:${directory}/lmtp`,
      lines: log.lines,
      deliver: (message, hop = "unix:lmtp") => client.deliver(requestTo(hop, message)),
      figures: () => client.figures,
    });
  } finally {
    await client.close();
    await server.close();
    rmSync(directory, { recursive: true });
  }
}

const statusOf = ({ recipients }: DeliveryResult): string[] =>
  recipients.map(({ index, status, dsn }) => `${index} ${status} ${dsn}`).sort();
const two = { to: ["a@dest.test", "b@dest.test"] };

test("each recipient has an answer of its own at the end of the message, and the log line names the socket", async () => {
  const dot = (index: number) => ["250 2.1.5 kept", "550 5.2.2 full"][index] ?? "";
  await onStage({ dot }, async ({ deliver, lines, server }) => {
    assert.deepEqual(statusOf(await deliver(two)), ["0 sent 2.1.5", "1 bounced 5.2.2"]);
    assert.equal(server.lines[0], "LHLO relay.test");
    assert.equal(server.messages.length, 1);
    assert.match(
      lines[0] ?? "",
      /^lmtp: A\w+: to=<a@dest\.test>, relay=relay\.test\[lmtp\], .*status=sent \(250 2\.1\.5 kept\)$/,
    );
    assert.match(lines[1] ?? "", /said: 550 5\.2\.2 full \(in reply to end of DATA command\)\)$/);
  });
});

test("sessions are used again, over a Unix socket too, also after a recipient was refused at the end", async () => {
  const dot = (index: number) => (index === 1 ? "452 4.2.2 full" : "250 2.1.5 kept");
  await onStage({ dot }, async ({ deliver, lines, figures }) => {
    await deliver(two);
    assert.deepEqual(statusOf(await deliver()), ["0 sent 2.1.5"]);
    assert.deepEqual([figures().sessionsOpened, figures().sessionsReused], [1, 1]);
    assert.match(lines.at(-1) ?? "", /conn_use=2/);
  });
});

test("whom no answer came for is tried again, and the others are not", async () => {
  const dot = (index: number) => (index === 0 ? "250 2.1.5 kept" : "DROP");
  await onStage({ dot }, async ({ deliver }) => {
    const { recipients } = await deliver(two);
    assert.deepEqual(
      recipients.map(({ status, reason }) => `${status} ${reason.replace(/ with \S+/, "")}`),
      [
        "sent 250 2.1.5 kept",
        "deferred lost connection while sending end of data -- message may be sent more than once",
      ],
    );
  });
});

test("an answer in the middle of the message is for the first recipient, and the others wait", async () => {
  let taken_bytes = 0;
  let server: Connection | undefined;
  const listener = await realNet.listen({ address: "127.0.0.1", port: 0 }, (connection) => {
    server = connection;
    connection.listen({
      data(bytes) {
        const text = bytes.length < 1000 ? bytes.toString("latin1") : "";
        if (text.startsWith("LHLO")) connection.write("250 scripted.test\r\n");
        else if (/^(MAIL|RCPT)/.test(text)) connection.write("250 2.1.0 Ok\r\n");
        else if (text.startsWith("DATA")) connection.write("354 go\r\n");
        else if (taken_bytes === 0) {
          taken_bytes += bytes.length;
          connection.pause();
          connection.write("552 5.3.4 too large\r\n");
        }
      },
      ended: () => connection.destroy(),
      drained() {},
      closed() {},
    });
    connection.write("220 scripted.test\r\n");
  });
  const { client } = testClient({}, { protocol: "lmtp" });
  const body = Buffer.alloc(32 * 1024 * 1024, "line of text\r\n");
  const { recipients } = await client.deliver(requestTo(`inet:127.0.0.1:${listener.bound.port}`, { ...two, body }));
  await client.close();
  server?.destroy();
  await listener.close();
  assert.deepEqual(
    recipients.map(({ status, dsn }) => `${status} ${dsn}`),
    ["bounced 5.3.4", "deferred 4.4.2"],
  );
});

test("nobody is left when all were refused at RCPT, and a server that takes DATA all the same is not waited for", async () => {
  const on = { RCPT: "550 5.1.1 nobody", DATA: "354 go" };
  await onStage({ on }, async ({ deliver, figures }) => {
    assert.deepEqual(statusOf(await deliver(two)), ["0 bounced 5.1.1", "1 bounced 5.1.1"]);
    await deliver(two);
    assert.equal(figures().sessionsReused, 0);
  });
});

test("TLS by chance is not for Unix sockets, and a session without it is kept", async () => {
  const ehlo = ["scripted.test", "PIPELINING", "STARTTLS"];
  const written = { smtp_tls_security_level: "may" };
  await onStage(
    { ehlo },
    async ({ deliver, server, figures }) => {
      assert.deepEqual(statusOf(await deliver()), ["0 sent 2.0.0"]);
      await deliver();
      assert.equal(server.lines.includes("STARTTLS"), false);
      assert.equal(figures().sessionsReused, 1);
    },
    written,
  );
});

test("a server without DSN may be the end of the way", async () => {
  for (const [lmtp_assume_final, reports] of [
    ["no", "relayed"],
    ["yes", "delivered"],
  ] as const) {
    await onStage({}, async ({ deliver }) => assert.equal((await deliver()).recipients[0]?.reports, reports), {
      lmtp_assume_final,
    });
  }
});

test("a socket that is not there, and a next hop without one, defer", async () => {
  await onStage({}, async ({ deliver, lines }) => {
    const missing = await deliver({}, "unix:nowhere/lmtp");
    assert.deepEqual(statusOf(missing), ["0 deferred 4.4.1"]);
    assert.equal(missing.health.kind, "failed");
    assert.match(lines.at(-1) ?? "", /connect to relay\.test\[nowhere\/lmtp\]: No such file or directory/);
    assert.deepEqual(statusOf(await deliver({}, "unix:")), ["0 deferred 4.3.5"]);
  });
});

test("lmtp_ parameters stand in for those of SMTP, under LMTP's own names", () => {
  const conf = { smtp_helo_name: "s", lmtp_lhlo_name: "l", smtp_tcp_port: "smtp", lmtp_tcp_port: "24", other: 1 };
  const values = lmtpValues(conf);
  assert.equal(values.smtp_helo_name, "l");
  assert.equal(values.smtp_tcp_port, "24");
  assert.equal(values.other, 1);
  assert.equal(Object.hasOwn(lmtpParams, "lmtp_never_send_ehlo"), false);
  assert.equal(lmtpParams.lmtp_skip_quit_response?.default, "no");
});
