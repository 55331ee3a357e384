/** Making indexes of a million entries, and asking them a million times through `postmap -q -`. */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { seededRandom } from "../../../src/runtime/random.ts";
import { makePlace } from "../../../test/peers/place.ts";
import type { Figures, Probe, Subject } from "../probe.ts";
import { watchMemory } from "../processes.ts";

const entries = 1_000_000;
const types = ["hash", "btree", "lmdb", "cdb"];
const launcher = resolve(import.meta.dirname, "../../../bin/postern");

export const tables: Probe = {
  name: "tables",
  what: `postmap of ${entries} entries, and as many look-ups through -q -, in processor time`,
  async open() {
    const place = makePlace("tables");
    const file = (name: string): string => join(place.directory, name);
    writeFileSync(file("main.cf"), "myhostname = bench.example\n");
    const keys = Array.from({ length: entries }, (_, n) => `user${n}@example${n % 997}.com`);
    const source = keys.map((key, n) => `${key} relay${n % 13}.example.net\n`).join("");
    writeFileSync(file("keys"), `${shuffled(keys).join("\n")}\n`);
    const subjects = (
      [
        ["Postern", launcher, ["postmap"]],
        ["Postfix", "/usr/sbin/postmap", []],
      ] as const
    ).map(([name, program, first]): Subject => {
      for (const type of types) writeFileSync(file(`${name}-${type}`), source);
      const run = (args: readonly string[], input?: string): Promise<Cost> =>
        cost(program, [...first, "-c", place.directory, ...args], input);
      const measure = async (): Promise<Figures> => {
        const figures: Record<string, number> = {};
        for (const type of types) {
          const table = `${type}:${file(`${name}-${type}`)}`;
          const built = await run([table]);
          const asked = await run(["-q", "-", table], file("keys"));
          figures[`${type} build CPU s`] = built.cpu_s;
          figures[`${type} build MiB`] = built.memory_MiB;
          figures[`${type} look-ups/CPU s`] = entries / asked.cpu_s;
        }
        return figures;
      };
      return { name, measure };
    });
    return { subjects, close: async () => place.remove() };
  },
};

/** In an order that follows no table's, the same each time. */
function shuffled(keys: readonly string[]): string[] {
  const order = [...keys];
  const random = seededRandom(1).bytes(order.length * 4);
  for (let at = order.length - 1; at > 0; at--) {
    const other = random.readUInt32LE(at * 4) % (at + 1);
    [order[at], order[other]] = [order[other] as string, order[at] as string];
  }
  return order;
}

interface Cost {
  readonly cpu_s: number;
  readonly memory_MiB: number;
}

/** Runs a program to its end. Throws unless it ends with 0. */
async function cost(program: string, args: readonly string[], input = "/dev/null"): Promise<Cost> {
  const stdin = openSync(input, "r");
  const before = ofChildren_s();
  const child = spawn(program, args, { stdio: [stdin, "ignore", "inherit"] });
  closeSync(stdin);
  const memory = watchMemory(child.pid ?? 0);
  const status = await new Promise((done) => child.once("exit", (code, signal) => done(code ?? signal)));
  const memory_MiB = memory.stop();
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ended with ${status}`);
  return { cpu_s: ofChildren_s() - before, memory_MiB };
}

/** Processor time of the children that have ended. */
function ofChildren_s(): number {
  const text = readFileSync("/proc/self/stat", "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / 100;
}
