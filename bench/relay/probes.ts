import type { Probe } from "./probe.ts";
import { drain } from "./probes/drain.ts";
import { idle } from "./probes/idle.ts";
import { latency } from "./probes/latency.ts";
import { sendmail } from "./probes/sendmail.ts";
import { start, startQueued } from "./probes/start.ts";
import { tables } from "./probes/tables.ts";

export const probes: readonly Probe[] = [drain, latency, start, startQueued, sendmail, idle, tables];
