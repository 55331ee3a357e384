/**
 * The practice server as a sink: STARTTLS and PLAIN demanded, messages thrown away. Its argument is a port. Writes
 * "mesg=N" to standard output when that has changed, every few milliseconds.
 */
import { writeSync } from "node:fs";
import { startPracticeServer } from "../../src/practice/practice-server.ts";
import { realRuntime } from "../../src/runtime/real.ts";

export const login = { user: "bench", password: "bench-password" } as const;

const port = Number(process.argv[2] ?? 0);
if (port > 0) {
  let count = 0;
  let told = 0;
  await startPracticeServer(realRuntime(), {
    address: "127.0.0.1",
    port,
    users: { [login.user]: login.password },
    mechanisms: ["PLAIN"],
    keep: 0,
    received: () => count++,
  });
  setInterval(() => {
    if (count !== told) writeSync(1, `mesg=${count}\n`);
    told = count;
  }, 5);
}
