/**
 * What is inspected: a configuration as it would be started with, and everything it refers to,
 * read and not changed. Made once; the inspections only look at it.
 */
import { loadConf } from "../conf/load.ts";
import type { Param } from "../conf/param.ts";
import { ConfError } from "../conf/problem.ts";
import type { Settings } from "../conf/settings.ts";
import { createLog } from "../log/log.ts";
import { type Prepared, prepare } from "../master/plan.ts";
import { type Configuration, configure } from "../relay/configuration.ts";
import { gatherMaterials, type Materials } from "../relay/materials.ts";
import { addressSet, ownAddresses } from "../relay/own-addresses.ts";
import { allParams, type RelayConf } from "../relay/params.ts";
import { readInclude } from "../routing/include.ts";
import { Router } from "../routing/resolve.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { parseReference, type Reference } from "../table/open.ts";
import { TableError } from "../table/table.ts";
import { tableTypes } from "../table/types.ts";
import { type Finding, finding, fromProblems, type Place, placeOf } from "./finding.ts";
import { type NextHopUse, nextHops } from "./next-hops.ts";
import { type Shell, shellFor } from "./shell.ts";

export interface Scene {
  readonly runtime: Runtime;
  readonly directory: string;
  readonly configuration: Configuration;
  /** What only a start works out: accounts and addresses; undefined where that failed, which is a finding already. */
  readonly prepared: Prepared | undefined;
  readonly materials: Materials;
  readonly router: Router;
  /** Addresses at which we take mail ourselves. */
  readonly self: readonly string[];
  readonly tables: readonly UsedTable[];
  /** Everywhere that mail can be led to. */
  readonly hops: readonly NextHopUse[];
  readonly shell: Shell;
}

/** A lookup table, and the parameter that names it first. */
export interface UsedTable extends Reference {
  readonly parameter: string;
  readonly place: Place;
  readonly files: { readonly index?: string; readonly source?: string };
}

/** Without a scene, the findings say why there is none. */
export interface SceneSet {
  readonly scene: Scene | undefined;
  readonly findings: readonly Finding[];
}

export interface SceneRequest {
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Parameters as if they stood in main.cf. */
  readonly overrides?: Readonly<Record<string, string>>;
}

export async function setScene(runtime: Runtime, request: SceneRequest): Promise<SceneSet> {
  const { directory, env, overrides } = request;
  const { files, host, names } = runtime;
  const findings: Finding[] = [];
  const loaded = await loadConf(files, directory, {
    ...{ declared: allParams, host, names, env, secrets: true },
    ...(overrides ? { overrides } : {}),
  });
  let configuration: Configuration;
  try {
    configuration = configure(loaded.texts, loaded.problems);
  } catch (error) {
    if (!(error instanceof ConfError)) throw error;
    return { scene: undefined, findings: fromProblems("error", "configuration", error.problems) };
  }
  findings.push(...fromProblems("warning", "configuration", configuration.warnings));
  findings.push(...fromProblems("notice", "parameter", configuration.notices));
  const prepared = await prepare(runtime, loaded, env).catch((error: unknown) => {
    if (!(error instanceof ConfError)) throw error;
    findings.push(...fromProblems("error", "start", error.problems));
    return undefined;
  });
  const said: string[] = [];
  const log = createLog({
    sink: ({ text }) => void said.push(text),
    now: () => runtime.clock.now(),
    service: "check",
    slot: 0,
    tag: "postfix",
  });
  const { materials, problems } = await gatherMaterials(runtime, configuration, log);
  findings.push(...fromProblems("error", "start", problems).map((each) => asRoot(each, runtime)));
  findings.push(...fromProblems("warning", "table", materials.warnings));
  for (const text of said) findings.push(finding("warning", "table", text));
  const scene = { runtime, directory, configuration, prepared, materials, shell: shellFor(directory) };
  const self = ownAddresses(configuration.conf, host.interfaces(), materials.named);
  const isOwn = addressSet(self);
  const router = new Router(configuration.conf, {
    maps: materials.tables.maps,
    file: materials.tables.file,
    ownAddress: isOwn,
    include: (path) => readInclude(files, path),
  });
  const { uses, findings: odd } = nextHops(configuration, materials.tables);
  findings.push(...odd);
  return { scene: { ...scene, self, router, tables: usedTables(configuration), hops: uses }, findings };
}

/** What only root may read says nothing about the configuration. */
function asRoot(found: Finding, { processes }: Runtime): Finding {
  if (processes.uid() === 0 || !/Permission denied|EACCES/.test(found.text)) return found;
  return { ...found, remedy: "Run this as root, as Postern is started" };
}

/** Each table once, however many parameters, services and transports name it. */
function usedTables({ conf, settings, smtpd, transports }: Configuration): UsedTable[] {
  const found = new Map<string, UsedTable>();
  for (const each of [{ conf, settings }, ...smtpd, ...transports]) {
    for (const [name, param] of Object.entries(allParams)) {
      for (const word of tableWords(name, param, each.conf)) {
        const table = usedTable(word, name, each.settings, conf.default_database_type);
        if (table && !found.has(table.text)) found.set(table.text, table);
      }
    }
  }
  return [...found.values()];
}

function tableWords(name: string, param: Param<unknown>, conf: RelayConf): readonly string[] {
  if (param.kind !== "lookup tables" && param.kind !== "list") return [];
  const words = conf[name as keyof RelayConf] as unknown as readonly string[];
  if (param.kind === "lookup tables") return words;
  return words
    .map((word) => word.replace(/^!+/, ""))
    .filter((word) => tableTypes.some((type) => word.startsWith(`${type.name}:`)));
}

function usedTable(word: string, parameter: string, settings: Settings, defaultType: string): UsedTable | undefined {
  try {
    const reference = parseReference(word.replace(/^(?:proxy:)+/, ""), defaultType);
    const type = tableTypes.find(({ name }) => name === reference.type);
    return type && { ...reference, parameter, place: placeOf(settings, parameter), files: type.files(reference.name) };
  } catch (error) {
    if (error instanceof TableError) return undefined;
    throw error;
  }
}
