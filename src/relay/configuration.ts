import { checkConf } from "../conf/check.ts";
import { compatibilityNotices } from "../conf/compatibility.ts";
import { evaluate, evaluationProblems } from "../conf/evaluate.ts";
import { loginSource } from "../conf/given.ts";
import { type ConfTexts, parseConf } from "../conf/load.ts";
import { commandName, type MasterService, settingsOf } from "../conf/master-cf.ts";
import type { Params } from "../conf/param.ts";
import { globalParams } from "../conf/params.ts";
import { ConfError, describeProblem, type Problem } from "../conf/problem.ts";
import type { Settings } from "../conf/settings.ts";
import { transportParams } from "../qmgr/params.ts";
import type { Untried } from "../qmgr/verdict.ts";
import { splitTransport } from "../routing/next-hop.ts";
import { lmtpValues } from "../smtp/lmtp-params.ts";
import { allParams, type RelayConf, relayParams } from "./params.ts";
import { deadTransports, unsupportedServices, untriedServices } from "./untried-services.ts";

/** An inet smtpd service of master.cf, with its own frozen configuration. */
export interface SmtpdService {
  readonly service: MasterService;
  readonly conf: RelayConf;
  readonly settings: Settings;
}

/** A transport that delivers by SMTP or LMTP, with its own frozen configuration. */
export interface SmtpTransport {
  readonly name: string;
  readonly protocol: "smtp" | "lmtp";
  /** With LMTP, the values of lmtp_… are where those of smtp_… are otherwise. */
  readonly conf: RelayConf;
  readonly settings: Settings;
  /** How many deliveries at once; undefined: as many as the parameters of the scheduler allow. */
  readonly processLimit: number | undefined;
}

/** A service with its -o. */
export interface ServiceConf {
  readonly conf: RelayConf;
  readonly settings: Settings;
}

/** What a configuration comes to. Made once by each process, from the same texts. */
export interface Configuration {
  readonly settings: Settings;
  readonly conf: RelayConf;
  readonly smtpd: readonly SmtpdService[];
  readonly transports: readonly SmtpTransport[];
  /** The cleanup services of master.cf that have -o, by name. */
  readonly cleanups: ReadonlyMap<string, ServiceConf>;
  /** The pickup service. */
  readonly pickup: ServiceConf;
  /** Services that hand their mail to nobody, by name. */
  readonly untried: ReadonlyMap<string, Untried>;
  /** Sources of tables that the environment gives: for tables of type given, by name, and in place of files, by path. */
  readonly given: { readonly tables: Readonly<Record<string, string>>; readonly files: ReadonlyMap<string, string> };
  /** What its owner should know. */
  readonly warnings: readonly Problem[];
  /** What is written and has no meaning here, and what is different here. */
  readonly notices: readonly Problem[];
}

/** Transports that exist whether master.cf names them or not: the defaults of transport parameters refer to them. */
const builtInTransports = ["smtp", "relay", "lmtp"] as const;

/** Throws ConfError with everything that keeps this configuration from being used, what was found while it was read (`more`) included. */
export function configure(texts: ConfTexts, more: readonly Problem[] = []): Configuration {
  const parsed = parseConf(texts, allParams);
  const findings = checkConf(parsed, allParams);
  const { settings } = parsed;
  const limits = evaluationProblems(writtenLimits(settings), settings);
  const problems = each([...more, ...parsed.problems, ...findings.problems, ...limits]);
  if (problems.length > 0) throw new ConfError(problems);
  const inet = parsed.services.filter(({ type, command }) => type === "inet" && commandName(command) === "smtpd");
  const smtpd = inet.map((service) => smtpdService(service, settings));
  const transports = smtpTransports(parsed.services, settings);
  const untried = untriedServices(parsed.services);
  const dead = deadTransports(settings, transports, untried);
  const conf = evaluate(relayParams, settings);
  const pickup = pickupService(parsed.services, { conf, settings });
  const unnamed = missingCleanups(parsed.services, [...smtpd, pickup]);
  if (unnamed.length > 0) throw new ConfError(unnamed);
  const nobody = smtpd.length === 0 ? [noSmtpd(texts.directory)] : [];
  return {
    settings,
    conf,
    smtpd,
    transports,
    cleanups: cleanupServices(parsed.services, settings),
    pickup,
    untried,
    given: givenTables(texts, settings),
    warnings: [...parsed.warnings, ...findings.warnings, ...dead, ...nobody],
    notices: [
      ...compatibilityNotices(settings, allParams),
      ...findings.notices,
      ...mailboxes(settings),
      ...unsupportedServices(parsed.services),
    ],
  };
}

function givenTables({ directory, given }: ConfTexts, settings: Settings): Configuration["given"] {
  const files = Object.entries(given?.tables ?? {}).map(
    ([name, text]) => [`${directory}/${name}`, `${text}\n`] as const,
  );
  if (given?.login === undefined) return { tables: {}, files: new Map(files) };
  const relayhosts = evaluate({ relayhost: globalParams.relayhost }, settings).relayhost;
  return { tables: { relayhost: loginSource(given.login, relayhosts) }, files: new Map(files) };
}

/** slow_destination_rate_delay and the like, as far as they are written: tables name transports that master.cf does not. */
function writtenLimits(settings: Settings): Params {
  const written: Record<string, Params[string]> = {};
  for (const name of settings.names()) {
    if (Object.hasOwn(allParams, name)) continue;
    for (const [ending, param] of Object.entries(transportParams)) {
      if (name.endsWith(`_${ending}`)) written[name] = param;
    }
  }
  return written;
}

/** Said at each start: mail for this host itself goes where its aliases say, and nowhere else. */
function mailboxes(settings: Settings): Problem[] {
  const domains = settings.value("mydestination").trim();
  if (domains === "") return [];
  const place = settings.at("mydestination") ?? { file: "", line: 0 };
  if (splitTransport(settings.value("local_transport"))[0] !== "local") return [];
  if (settings.value("mailbox_transport") !== "" || settings.value("fallback_transport") !== "") return [];
  const text = `mail for ${domains} is not delivered into mailboxes here: a recipient there without an alias bounces`;
  return [{ ...place, text, remedy: "" }];
}

/** Each problem once: reading finds what parsing finds. */
function each(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [describeProblem(problem), problem])).values()];
}

function noSmtpd(directory: string): Problem {
  return {
    file: `${directory}/master.cf`,
    line: 0,
    text: "has no inet service that runs smtpd: mail is taken from sendmail only",
    remedy: "",
  };
}

function smtpdService(service: MasterService, settings: Settings): SmtpdService {
  const own = settingsOf(service, settings);
  return { service, conf: evaluate(relayParams, own), settings: own };
}

const isCleanup = ({ type, command }: MasterService): boolean => type === "unix" && commandName(command) === "cleanup";

function cleanupServices(services: readonly MasterService[], settings: Settings): Map<string, ServiceConf> {
  const found = new Map<string, ServiceConf>();
  for (const service of services.filter((each) => isCleanup(each) && each.overrides.size > 0)) {
    const own = settingsOf(service, settings);
    found.set(service.name, { conf: evaluate(relayParams, own), settings: own });
  }
  return found;
}

function pickupService(services: readonly MasterService[], usual: ServiceConf): ServiceConf {
  const service = services.find(({ type, command }) => type === "unix" && commandName(command) === "pickup");
  if (!service || service.overrides.size === 0) return usual;
  const own = settingsOf(service, usual.settings);
  return { conf: evaluate(relayParams, own), settings: own };
}

/** Mail that is to pass through a cleanup service must not go without. */
function missingCleanups(services: readonly MasterService[], takers: readonly ServiceConf[]): Problem[] {
  const there = new Set(["cleanup", ...services.filter(isCleanup).map(({ name }) => name)]);
  const missing = takers.filter(({ conf }) => !there.has(conf.cleanup_service_name));
  const problems = missing.map(({ conf, settings }): Problem => {
    const text = `cleanup_service_name = ${conf.cleanup_service_name}: master.cf has no such service that runs cleanup`;
    return { ...(settings.at("cleanup_service_name") ?? { file: "", line: 0 }), text, remedy: "" };
  });
  return each(problems);
}

function smtpTransports(services: readonly MasterService[], settings: Settings): SmtpTransport[] {
  const transports: SmtpTransport[] = [];
  for (const service of services) {
    const program = commandName(service.command);
    if (service.type !== "unix" || (program !== "smtp" && program !== "lmtp")) continue;
    const own = settingsOf(service, settings);
    transports.push(smtpTransport(service.name, program, own, service.processLimit || undefined));
  }
  for (const name of builtInTransports) {
    if (transports.some((each) => each.name === name)) continue;
    transports.push(smtpTransport(name, name === "lmtp" ? "lmtp" : "smtp", settings, undefined));
  }
  return transports;
}

function smtpTransport(
  name: string,
  protocol: SmtpTransport["protocol"],
  settings: Settings,
  processLimit: number | undefined,
): SmtpTransport {
  const conf = evaluate(relayParams, settings);
  return { name, protocol, conf: protocol === "lmtp" ? lmtpValues(conf) : conf, settings, processLimit };
}
