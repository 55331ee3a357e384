import { spawn } from "node:child_process";
import { join } from "node:path";
import { startPostern } from "../peers/postern.ts";
import { startReceivingSink } from "./receiving-sink.ts";
import { attachStrace, syncCalls } from "./strace.ts";
import { type Event, readTrace } from "./sync-oracle.ts";

/**
 * What a relay does to its files and its clients while it takes messages of 4 KiB from 20 sessions at once, which stay open, and
 * delivers them: all writes and syncs, in their order. Needs strace and smtp-source.
 */
export async function recordSyncs(messages: number): Promise<Event[]> {
  const sink = await startReceivingSink();
  const relay = await startPostern({
    mainCf: { relayhost: `[127.0.0.1]:${sink.port}`, mynetworks: "127.0.0.0/8", smtp_tls_security_level: "none" },
  });
  try {
    const file = join(relay.directory, "trace");
    const strace = await attachStrace({ pids: [relay.relayPid() ?? 0], calls: syncCalls, file });
    await send(relay.port, messages);
    await strace.detach();
    return await readTrace(file);
  } finally {
    await relay.stop();
    await sink.close();
  }
}

async function send(port: number, count: number): Promise<void> {
  const args = ["-d", "-s", "20", "-l", "4096", "-m", String(count), "-f", "from@example.org", "-t", "to@example.com"];
  const source = spawn("smtp-source", [...args, `127.0.0.1:${port}`], { stdio: ["ignore", "ignore", "inherit"] });
  const status = await new Promise((resolve) => source.once("exit", resolve));
  if (status !== 0) throw new Error(`smtp-source ended with ${status}`);
}
