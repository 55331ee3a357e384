import { parseArgs } from "node:util";
import { ConfError } from "../conf/problem.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";
import { askMaster } from "./master-client.ts";
import { paintFor } from "./paint.ts";
import { QueueUnreadable, queueEntries } from "./queue-entries.ts";
import { type QueuePlace, queuePlace } from "./queue-place.ts";
import { QueueSurvey, type Survey } from "./queue-survey.ts";
import { statusReport } from "./status-report.ts";
import { type RelayStatus, statusText } from "./status-text.ts";

export const statusUsage = `usage: postern [-c config_directory] status [--brief] [--json]

Is the mail system running, and what is it doing? What waits, for which destination, since
when, why, and what would help: first the destinations that refuse our login, then those
that are left alone for a while. Without a running relay: what the queue on disk holds.

  --brief   only what the relay knows: the queue is not looked through
  --json    for programs; docs/status.md has the shape

  exit status: 0 it runs, 1 it does not
`;

const options = {
  brief: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  json: { type: "boolean" },
} as const;

/** `postern status`; sysexits(3) 64 for what is no option. */
export async function status(args: readonly string[], io: CommandIo): Promise<number> {
  let values: { readonly brief?: boolean; readonly help?: boolean; readonly json?: boolean };
  try {
    ({ values } = parseArgs({ args: [...args], options, strict: true }));
  } catch (error) {
    io.err(`postern status: ${error instanceof Error ? error.message : String(error)}\n${statusUsage}`);
    return 64;
  }
  if (values.help) {
    io.out(statusUsage);
    return 0;
  }
  const master = await askForMaster(io);
  const place = await queuePlace(io);
  const relay = await askForRelay(io, place);
  const running = master !== undefined || relay !== undefined;
  io.err(`postern: the mail system is ${running ? (master ?? "running") : "not running"}\n`);
  if (running && !relay && !values.json) io.out("the relay is starting, or restarting\n");
  const survey = values.brief ? undefined : await surveyOf(io, place);
  const now_ms = io.runtime.clock.now();
  const state = { running, master, relay, survey, now_ms };
  if (values.json) io.out(`${JSON.stringify(statusReport(state), undefined, 2)}\n`);
  else io.out(statusText(state, { paint: paintFor(io), zone: (time_ms) => io.runtime.clock.zoneOffset_min(time_ms) }));
  return running ? 0 : 1;
}

/** What the master says of itself; undefined where there is none, or where we may not ask it: the relay answers everybody. */
async function askForMaster(io: CommandIo): Promise<string | undefined> {
  try {
    return (await askMaster("status", io))?.text;
  } catch (error) {
    if (error instanceof ConfError && io.runtime.processes.uid() !== 0) return undefined;
    throw error;
  }
}

async function askForRelay(io: CommandIo, { paths }: QueuePlace): Promise<RelayStatus | undefined> {
  try {
    for await (const value of askRelay(io.runtime, `${paths.public}/control`, { command: "status" })) {
      return value as RelayStatus;
    }
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
  }
  return undefined;
}

async function surveyOf(io: CommandIo, place: QueuePlace): Promise<Survey | undefined> {
  const survey = new QueueSurvey();
  try {
    for await (const entry of queueEntries(io, place)) survey.add(entry);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    io.err(`postern: ${error instanceof QueueUnreadable ? text : `the queue cannot be read: ${text}`}\n`);
    return undefined;
  }
  return survey.result();
}
