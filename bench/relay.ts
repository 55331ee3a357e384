/**
 * npm run bench [scenario ...] [--rounds N] [--messages N] [--json FILE] [--only postern|postfix] [--waiting N] [--queued N]
 *
 * Mail through Postern and through Debian's Postfix with the same main.cf, on this machine, both ends included. They take
 * turns, round by round; medians and their ratio are printed, with what the machine can do without a mail system between.
 * Before the rounds each is watched by strace: it has to sync what it takes before it says 250. Needs root.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import type { Verdict } from "../test/crash/sync-oracle.ts";
import { missing } from "../test/peers/place.ts";
import { checkDurability } from "./relay/durability.ts";
import { type MachineFacts, machineFacts, type Round, type Summary, summary, table } from "./relay/figures.ts";
import { type Load, limit, round } from "./relay/measure.ts";
import { type ProbeFigures, probeResults, runProbe } from "./relay/probe.ts";
import { probes } from "./relay/probes.ts";
import { type Scenario, scenarios } from "./relay/scenarios.ts";
import type { System } from "./relay/systems.ts";

interface Settings {
  readonly rounds: number;
  readonly messages: number | undefined;
  readonly only: string | undefined;
  readonly waiting: number;
  readonly queued: number | undefined;
  /** Options for Postern's Node.js, for profiles. */
  readonly node: readonly string[];
}

interface SystemFigures extends Summary {
  readonly name: string;
  /** Undefined where it was not looked at. */
  readonly durability: Verdict | undefined;
}

interface ScenarioFigures {
  readonly scenario: string;
  readonly what: string;
  readonly messages: number;
  readonly systems: readonly SystemFigures[];
  /** Messages a second straight from smtp-source to the sink; undefined where the sink wants a login. */
  readonly limit_per_s: number | undefined;
}

interface Report {
  readonly machine: MachineFacts;
  readonly scenarios: readonly ScenarioFigures[];
  readonly probes: readonly ProbeFigures[];
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: "string", default: "3" },
      messages: { type: "string" },
      json: { type: "string" },
      only: { type: "string" },
      waiting: { type: "string", default: "1000000" },
      queued: { type: "string" },
      node: { type: "string", multiple: true, default: [] },
    },
  });
  const lacking = missing("postfix", "smtp-source", "smtp-sink", "strace");
  if (lacking) throw new Error(`npm run bench ${lacking}`);
  const names = [...scenarios, ...probes].map(({ name }) => name);
  const unknown = positionals.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`no such scenario: ${unknown.join(", ")}; there are ${names.join(", ")}`);
  const settings: Settings = {
    rounds: count(values.rounds, "rounds"),
    messages: values.messages === undefined ? undefined : count(values.messages, "messages"),
    only: values.only,
    waiting: count(values.waiting, "waiting"),
    queued: values.queued === undefined ? undefined : count(values.queued, "queued"),
    node: values.node,
  };
  const isChosen = ({ name }: { readonly name: string }) => positionals.length === 0 || positionals.includes(name);
  const machine = machineFacts(tmpdir());
  say(describe(machine));
  const done: ScenarioFigures[] = [];
  for (const scenario of scenarios.filter(isChosen)) done.push(await run(scenario, settings));
  const probed: ProbeFigures[] = [];
  for (const probe of probes.filter(isChosen)) probed.push(await runProbe(probe, settings, say));
  if (done.length > 0) say(`\n${results(done)}`);
  if (probed.length > 0) say(`\n${probeResults(probed)}`);
  const report: Report = { machine, scenarios: done, probes: probed };
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
}

async function run(scenario: Scenario, settings: Settings): Promise<ScenarioFigures> {
  const { name, what, sessions, size_bytes, kept, recipients = 1, memory = false } = scenario;
  const messages = settings.messages ?? scenario.messages;
  const load: Load = { messages, sessions, size_bytes, kept, recipients, memory };
  say(`\n${name}: ${what}; ${messages} messages a round`);
  const sink = await scenario.sink();
  const systems: System[] = [];
  try {
    for (const start of scenario.systems) systems.push(await start(sink, settings));
    const measured = systems.filter((system) => !settings.only || system.name.toLowerCase().startsWith(settings.only));
    const durability = new Map<System, Verdict>();
    for (const system of measured) {
      // The first round warms it up, and has every process there when strace comes.
      await round(system, sink, load);
      // What is traced already cannot be traced again.
      if (system.remark) continue;
      const verdict = await checkDurability(system, sink);
      durability.set(system, verdict);
      say(`  ${system.name}: ${describeVerdict(verdict)}`);
    }
    const rounds = await takeTurns(measured, settings.rounds, (system) => round(system, sink, load));
    for (const { name, remark } of measured) if (remark) say(`  ${name}: ${remark()}`);
    const straight = scenario.sinkTakesAnybody ? await limit(sink, load) : undefined;
    return {
      ...{ scenario: name, what, messages },
      systems: measured.map((system) => ({
        name: system.name,
        ...summary(rounds.get(system) ?? []),
        durability: durability.get(system),
      })),
      limit_per_s: straight && straight.messages / straight.seconds,
    };
  } finally {
    for (const system of systems) await system.stop();
    await sink.stop();
  }
}

/** One, the other, one, the other: what else goes on upon the machine falls on all of them alike. */
async function takeTurns(
  systems: readonly System[],
  rounds: number,
  measure: (system: System) => Promise<Round>,
): Promise<Map<System, Round[]>> {
  const taken = new Map(systems.map((system): [System, Round[]] => [system, []]));
  for (let turn = 1; turn <= rounds; turn++) {
    for (const system of systems) {
      const figures = await measure(system);
      taken.get(system)?.push(figures);
      const rate = (figures.messages / figures.seconds).toFixed(0);
      const memory = figures.memory_MiB === undefined ? "" : `, ${figures.memory_MiB.toFixed(0)} MiB`;
      const cpu = ((figures.cpu_s / figures.messages) * 1000).toFixed(2);
      say(`  round ${turn}, ${system.name}: ${rate} msg/s, ${cpu} s of CPU per 1000${memory}`);
    }
  }
  return taken;
}

function results(done: readonly ScenarioFigures[]): string {
  const rows = done.flatMap(({ scenario, systems, limit_per_s }) => {
    const [first] = systems;
    const rest = (limit_per_s ?? Number.NaN).toFixed(0).replace("NaN", "-");
    return systems.map((system, index) => [
      index === 0 ? scenario : "",
      system.name,
      system.messages_per_s.toFixed(0),
      index === 0 || !first ? "" : (first.messages_per_s / system.messages_per_s).toFixed(1),
      system.cpu_s_per_1000.toFixed(2),
      index === 0 || !first ? "" : (system.cpu_s_per_1000 / first.cpu_s_per_1000).toFixed(1),
      index === 0 ? rest : "",
      system.peak_MiB?.toFixed(0) ?? "-",
      synced(system.durability),
    ]);
  });
  const head = [
    "scenario",
    "system",
    "msg/s",
    "Postern is x",
    "CPU s/1000",
    "uses 1/x",
    "limit msg/s",
    "peak MiB",
    "synced before 250",
  ];
  return table([head, ...rows]);
}

function synced(verdict: Verdict | undefined): string {
  if (!verdict || verdict.replies === 0) return "-";
  return verdict.violations.length === 0 ? "yes" : "NO";
}

function describe({ cores, processor, kernel, fileSystem, node, postfix }: MachineFacts): string {
  return `${cores} cores (${processor}), Linux ${kernel}, ${fileSystem}; Node.js ${node}, Postfix ${postfix}`;
}

function describeVerdict({ replies, violations }: Verdict): string {
  if (replies === 0) return "strace saw no reply: whether it syncs is not known";
  if (violations.length > 0)
    return `DOES NOT SYNC before its 250: ${violations.length} of ${replies}, first: ${violations[0]}`;
  return `each of ${replies} messages was synced before its 250`;
}

function count(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${text}: not a number above 0`);
  return value;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

await main();
