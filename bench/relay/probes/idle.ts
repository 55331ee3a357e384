/** What it takes while there is nothing to do: memory, and how often any of its threads wakes. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../../../test/peers/place.ts";
import type { Figures, Probe } from "../probe.ts";
import { cpuTime_s, family, memory_MiB } from "../processes.ts";
import { benchPostern, benchPostfix, type System } from "../systems.ts";

/** V8 gives back what the start has used about half a minute after it, once. */
const settle_s = 40;
const watch_s = 20;

export const idle: Probe = {
  name: "idle",
  what: `memory of all processes, and how often their threads wake, ${watch_s} s long, after a start and ${settle_s} s of rest`,
  async open({ node }) {
    // Nothing is ever sent there.
    const relayTo = await freePort();
    const systems: System[] = [];
    const close = async (): Promise<void> => {
      for (const system of systems) await system.stop();
    };
    try {
      systems.push(await benchPostern("Postern", { relayTo, node }));
      systems.push(await benchPostfix("Postfix", { relayTo }));
    } catch (error) {
      await close();
      throw error;
    }
    await pause(settle_s * 1000);
    return { subjects: systems.map(({ name, pid }) => ({ name, measure: () => measure(pid) })), close };
  },
};

async function measure(pid: number): Promise<Figures> {
  const before = waits(pid);
  const cpu_s = cpuTime_s(pid);
  const begun_ms = performance.now();
  await pause(watch_s * 1000);
  const after = waits(pid);
  const seconds = (performance.now() - begun_ms) / 1000;
  const wakeUps = [...after].reduce((sum, [thread, count]) => sum + count - (before.get(thread) ?? 0), 0);
  return {
    "memory MiB": memory_MiB(pid),
    "wake-ups/s": wakeUps / seconds,
    "CPU ms/s": ((cpuTime_s(pid) - cpu_s) * 1000) / seconds,
  };
}

/** How often each thread has gone to sleep by itself so far: as often it has been woken. */
function waits(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const each of family(pid)) {
    for (const thread of readdirSync(`/proc/${each}/task`)) {
      const status = readFileSync(`/proc/${each}/task/${thread}/status`, "latin1");
      counts.set(thread, Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    }
  }
  return counts;
}
