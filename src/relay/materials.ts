import { describeProblem, type Problem } from "../conf/problem.ts";
import type { Log } from "../log/log.ts";
import { type Files, readWhole } from "../runtime/files.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { compileFilter, FilterError, type MechanismFilter } from "../sasl/filter.ts";
import { lmtpName } from "../smtp/lmtp-params.ts";
import { compileRules, type SmtpdRules } from "../smtpd/rules.ts";
import { AuthoritiesError, loadAuthorities } from "../tls/authorities.ts";
import type { Configuration, SmtpdService, SmtpTransport } from "./configuration.ts";
import { findNamed, type NamedAddresses } from "./own-addresses.ts";
import { Tables } from "./tables.ts";

/**
 * What a configuration refers to and only root may be able to read: tables, files of
 * patterns, authorities. Gathered once, before privileges are dropped.
 */
export interface Materials {
  readonly tables: Tables;
  readonly rules: ReadonlyMap<SmtpdService, SmtpdRules>;
  readonly transports: ReadonlyMap<SmtpTransport, TransportMaterials>;
  /** Names among our own addresses. */
  readonly named: NamedAddresses;
  readonly warnings: readonly Problem[];
}

export interface TransportMaterials {
  readonly filter: MechanismFilter;
  /** PEM texts. */
  readonly authorities: readonly string[];
}

export interface Gathered {
  readonly materials: Materials;
  /** With any of these the configuration must not be used. */
  readonly problems: readonly Problem[];
}

const filterFileLimit_bytes = 1024 * 1024;

export async function gatherMaterials(
  world: Pick<Runtime, "files" | "clock" | "random" | "net" | "names">,
  configuration: Configuration,
  log: Log,
): Promise<Gathered> {
  const { files } = world;
  const tables = await Tables.open(world, configuration, (text) => log.warning(text));
  const problems: Problem[] = [...tables.problems];
  const warnings: Problem[] = [...tables.warnings];
  const rules = new Map<SmtpdService, SmtpdRules>();
  for (const each of configuration.smtpd) {
    const compiled = compileRules(each.conf, networkSources(tables), each.settings);
    if (compiled.rules) rules.set(each, compiled.rules);
    for (const text of compiled.problems) problems.push({ file: "", line: 0, text, remedy: "" });
  }
  const transports = new Map<SmtpTransport, TransportMaterials>();
  for (const each of configuration.transports) {
    const filter = await filterOf(files, each, tables, problems);
    const authorities = await authoritiesOf(files, each, problems, warnings);
    if (filter) transports.set(each, { filter, authorities });
  }
  const { conf, settings } = configuration;
  const named = await findNamed(conf, world.names, (parameter, name) => {
    const place = settings.at(parameter) ?? { file: "", line: 0 };
    const remedy = "Write its address, or add the name to /etc/hosts.";
    problems.push({ ...place, text: `parameter ${parameter}: host not found: ${name}`, remedy });
  });
  const materials = { tables, rules, transports, named, warnings: distinct(warnings) };
  return { materials, problems: distinct(problems) };
}

/** Services and transports share parameters: what is wrong with one is said once. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [describeProblem(problem), problem])).values()];
}

function networkSources(tables: Tables) {
  return {
    table: (reference: string) => tables.maps([reference]),
    file(path: string): string {
      const text = tables.file(path);
      if (text === undefined) throw new Error(`${path} cannot be read`);
      return text;
    },
  };
}

/** Where the parameter is written that the client knows as smtp_…, and its name there. */
function writtenAs({ protocol, settings }: SmtpTransport, parameter: string) {
  const name = protocol === "lmtp" ? lmtpName(parameter) : parameter;
  return { name, place: settings.at(name) ?? { file: "", line: 0 } };
}

async function filterOf(
  files: Files,
  transport: SmtpTransport,
  tables: Tables,
  problems: Problem[],
): Promise<MechanismFilter | undefined> {
  try {
    return await compileFilter(transport.conf.smtp_sasl_mechanism_filter, {
      file: async (path) => (await readWhole(files, path, filterFileLimit_bytes)).bytes.toString(),
      table: (reference) => {
        const maps = tables.maps([reference]);
        return (key) => maps.find(key);
      },
    });
  } catch (error) {
    const { name, place } = writtenAs(transport, "smtp_sasl_mechanism_filter");
    const text = error instanceof FilterError || error instanceof Error ? error.message : String(error);
    problems.push({ ...place, text: `${name}: ${text}`, remedy: "" });
    return undefined;
  }
}

async function authoritiesOf(
  files: Files,
  transport: SmtpTransport,
  problems: Problem[],
  warnings: Problem[],
): Promise<readonly string[]> {
  try {
    const found = await loadAuthorities(transport.conf, files);
    for (const text of found.warnings) warnings.push({ file: "", line: 0, text, remedy: "" });
    return found.certificates;
  } catch (error) {
    if (!(error instanceof AuthoritiesError)) throw error;
    const parameter = error.message.startsWith("smtp_tls_CApath") ? "smtp_tls_CApath" : "smtp_tls_CAfile";
    const { name, place } = writtenAs(transport, parameter);
    const remedy =
      "Name a file of PEM certificates; Debian keeps the authorities of the web in /etc/ssl/certs/ca-certificates.crt";
    problems.push({ ...place, text: error.message.replace(parameter, name), remedy });
    return [];
  }
}
