import { tableParameterNames } from "./dbms-parameters.ts";
import { evaluationProblems } from "./evaluate.ts";
import { ExpansionError, references } from "./expand.ts";
import type { Conf } from "./load.ts";
import { commandName, type MasterService, settingsOf } from "./master-cf.ts";
import { nearestName } from "./nearest.ts";
import { type Params, splitList } from "./param.ts";
import { postfixParameters, type Standing } from "./postfix-parameters.ts";
import { describeProblem, type Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";
import { transportParameters } from "./transport-parameters.ts";

/** What is found about a configuration beyond its form. */
export interface Findings {
  /** Each of these stops the start. */
  readonly problems: readonly Problem[];
  /** What is written and not obeyed, or not known. */
  readonly warnings: readonly Problem[];
  /** What is written and has no meaning here. */
  readonly notices: readonly Problem[];
}

/** Programs of master.cf that have a counterpart here, so that their -o overrides mean something. */
const counterparts = new Set([
  "smtpd",
  "smtp",
  "lmtp",
  "discard",
  "pickup",
  "cleanup",
  "qmgr",
  "bounce",
  "error",
  "trivial-rewrite",
  "local",
]);

/**
 * Compares what is written with what is declared:
 *
 *   a value that its parameter does not take      problem
 *   a name that nobody knows                      warning, with the nearest known name
 *   a parameter of Postfix that nobody declares, set to something else than its default:
 *     one that restricts who may do what          problem: a relay never runs more open than its configuration says
 *     another one                                 warning, or a notice where it has no meaning here
 */
export function checkConf(conf: Conf, declared: Params): Findings {
  const findings = { problems: [] as Problem[], warnings: [] as Problem[], notices: [] as Problem[] };
  const { settings, services } = conf;
  findings.problems.push(...evaluationProblems(declared, settings));
  const known = knownNames(settings, services, declared);
  for (const name of settings.names()) judge(name, settings, known, declared, findings);
  for (const service of services) {
    checkService(service, findings);
    if (!counterparts.has(commandName(service.command))) continue;
    if (service.overrides.size === 0) continue;
    const own = settingsOf(service, settings);
    const already = new Set(findings.problems.map(describeProblem));
    findings.problems.push(...evaluationProblems(declared, own).filter((each) => !already.has(describeProblem(each))));
    for (const name of service.overrides.keys()) judge(name, own, known, declared, findings);
  }
  return findings;
}

type Collected = Record<keyof Findings, Problem[]>;

function judge(
  name: string,
  settings: Settings,
  known: ReadonlySet<string>,
  declared: Params,
  findings: Collected,
): void {
  if (Object.hasOwn(declared, name)) return;
  const place = settings.at(name) ?? { file: "", line: 0 };
  const postfix = postfixParameters().get(name);
  if (!postfix) {
    if (known.has(name)) return;
    const nearest = nearestName(name, known);
    const remedy = nearest ? `Did you mean ${nearest}?` : "";
    findings.warnings.push({ ...place, text: `unknown parameter ${name}`, remedy });
    return;
  }
  const { error } = settings.resolve(name);
  if (error !== undefined) findings.problems.push({ ...place, text: `parameter ${name}: ${error}`, remedy: "" });
  if (error !== undefined || isDefault(name, settings)) return;
  const standing = standingOf(name, postfix.standing, settings.value(name));
  if (standing === "restricts") {
    const text = `parameter ${name} is not supported, and ignoring it would allow what it forbids`;
    findings.problems.push({ ...place, text, remedy: "Remove it, if mail may be relayed without it." });
  } else if (standing === "unsupported") {
    findings.warnings.push({ ...place, text: `parameter ${name} is not supported, and ignored`, remedy: "" });
  } else {
    findings.notices.push({ ...place, text: `parameter ${name} has no meaning here`, remedy: "" });
  }
}

/** Some restrict with one value only. */
function standingOf(name: string, standing: Standing, value: string): Standing {
  if (name === "smtpd_tls_security_level") return value.toLowerCase() === "encrypt" ? "restricts" : standing;
  return standing;
}

function isDefault(name: string, settings: Settings): boolean {
  const words = (text: string) => text.trim().replace(/[\s,]+/g, " ");
  const fallback = settings.defaultText(name) ?? "";
  if (words(settings.raw(name) ?? "") === words(fallback)) return true;
  try {
    return words(settings.value(name)) === words(settings.expand(fallback));
  } catch (error) {
    if (error instanceof ExpansionError) return false;
    throw error;
  }
}

/** Transports that there are whether master.cf names them or not. */
const builtInTransports = ["smtp", "relay", "lmtp"];

/** What counts as known beside declarations and Postfix's own list: names that something refers to. */
function knownNames(settings: Settings, services: readonly MasterService[], declared: Params): ReadonlySet<string> {
  const known = new Set([...Object.keys(declared), ...postfixParameters().keys()]);
  for (const [name] of builtInTransports.flatMap((each) => [...transportParameters(each, "smtp")])) known.add(name);
  for (const service of services) {
    const own = transportParameters(service.name, commandName(service.command));
    for (const [name] of own) known.add(name);
    for (const { value } of service.overrides.values()) addReferences(value, known);
  }
  for (const name of settings.names()) {
    addReferences(settings.raw(name) ?? "", known);
    if (postfixParameters().has(name) || Object.hasOwn(declared, name)) {
      for (const each of tableParameterNames(settings.value(name))) known.add(each);
    }
  }
  for (const name of splitWords(settings.value("smtpd_restriction_classes"))) known.add(name);
  return known;
}

function addReferences(text: string, known: Set<string>): void {
  try {
    references(text, (name) => known.add(name));
  } catch (error) {
    if (!(error instanceof ExpansionError)) throw error;
  }
}

function splitWords(value: string): readonly string[] {
  try {
    return splitList(value);
  } catch {
    return [];
  }
}

/** A listening service that nothing here can be is named: somebody expects an answer on that port. */
function checkService({ name, type, command, file, line }: MasterService, findings: Collected): void {
  if (type !== "inet" || commandName(command) === "smtpd") return;
  findings.warnings.push({
    file,
    line,
    text: `service ${name} inet: ${command} is not supported, and not started`,
    remedy: "",
  });
}
