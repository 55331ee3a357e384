/** What `postern check` found, as text for people and as JSON for programs. */
import type { CheckReport } from "../check/check.ts";
import type { Finding, Severity } from "../check/finding.ts";
import type { HopProbe, HostProbe, Step } from "../check/probe.ts";
import { relayText } from "../smtp/session.ts";
import type { Paint } from "./paint.ts";

export interface ReportOptions {
  readonly paint: Paint;
  /** Notices, too. */
  readonly all: boolean;
  readonly dialogue: boolean;
}

export function reportText(report: CheckReport, options: ReportOptions): string {
  const shown = report.findings.filter(({ severity }) => options.all || severity !== "notice");
  const parts = [
    ...report.probes.map((probe) => probeText(probe, options)),
    ...shown.map((each) => findingText(each, options)),
  ];
  return `${[...parts, summary(report, options)].join("\n")}`;
}

const words: Readonly<Record<Severity, string>> = { error: "error", warning: "warning", notice: "notice" };

export function findingText(
  { severity, file, line, text, why, remedy, commands }: Finding,
  { paint }: ReportOptions,
): string {
  const place = file && line > 0 ? `${file}, line ${line}: ` : file ? `${file}: ` : "";
  const colour = severity === "error" ? paint.bad : severity === "warning" ? paint.doubtful : paint.strong;
  const lines = [`${place}${colour(`${words[severity]}:`)} ${text}`];
  if (why) lines.push(`    why:    ${why}.`);
  if (remedy) lines.push(`    remedy: ${remedy}${/[.:?]$/.test(remedy) ? "" : "."}`);
  for (const command of commands) lines.push(`        ${paint.strong(command)}`);
  return `${lines.join("\n")}\n`;
}

function probeText(probe: HopProbe, options: ReportOptions): string {
  const { paint } = options;
  const { nexthop, parameter, transport } = probe.use;
  const lines = [`${paint.strong(nexthop)}${parameter ? ` (${parameter})` : ""}, by ${transport.name}:`];
  for (const step of probe.steps) lines.push(stepText(step, options));
  for (const host of probe.hosts) {
    if (probe.hosts.length > 1) lines.push(`  ${relayText(host.host)}`);
    for (const step of host.steps) lines.push(stepText(step, options));
    const mechanisms = mechanismText(host);
    if (mechanisms) lines.push(`        ${mechanisms}`);
    if (options.dialogue) {
      const marks = { us: ">", server: "<", tls: "=" } as const;
      for (const { by, line } of host.dialogue) lines.push(`      ${paint.faint(`${marks[by]} ${line}`)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

const stepNames: Readonly<Record<Step["name"], string>> = {
  resolve: "address",
  connect: "connect",
  greeting: "greeting",
  hello: "EHLO",
  starttls: "TLS",
  login: "login",
  mail: "MAIL FROM",
  reset: "RSET",
};

export function stepText({ name, ok, text, ms }: Step, { paint }: ReportOptions): string {
  const mark = ok ? paint.good("ok  ") : paint.bad("FAIL");
  return `  ${mark}  ${stepNames[name].padEnd(9)} ${`${Math.round(ms)} ms`.padStart(8)}  ${text}`;
}

/** Which mechanism was used, and why each of the others was not. */
function mechanismText({ selected, username }: HostProbe): string {
  if (!selected) return "";
  const { by } = selected;
  const used = by.kind === "mechanism" ? `${by.mechanism.name} was used, as ${username}` : "no mechanism could be used";
  const others = by.rejected.map(({ name, because, lacking }) => {
    return `${name}: ${because === "lacks properties" ? `lacks ${lacking.join(", ")}` : because}`;
  });
  return [used, ...others].join("; ");
}

function summary({ findings, probes }: CheckReport, { paint, all }: ReportOptions): string {
  const count = (severity: Severity): number => findings.filter((each) => each.severity === severity).length;
  const [errors, warnings, notices] = [count("error"), count("warning"), count("notice")];
  const asked = probes.length === 0 ? "" : `, ${plural(probes.length, "next hop")} asked`;
  const hidden = notices > 0 && !all ? `, ${plural(notices, "notice")} (shown by --all)` : "";
  if (errors + warnings === 0) return `${paint.good("nothing is wrong")}${asked}${hidden}\n`;
  const found = [
    errors > 0 ? paint.bad(plural(errors, "error")) : "",
    warnings > 0 ? paint.doubtful(plural(warnings, "warning")) : "",
  ];
  return `${found.filter(Boolean).join(", ")}${asked}${hidden}\n`;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** The shape that docs/check.md describes. */
export function reportJson({ status, findings, probes }: CheckReport): string {
  const destinations = probes.map(({ use, sender, steps, hosts, ms }) => ({
    nexthop: use.nexthop,
    transport: use.transport.name,
    parameter: use.parameter,
    sender,
    ms: Math.round(ms),
    steps: steps.map(jsonStep),
    hosts: hosts.map(jsonHost),
  }));
  return `${JSON.stringify({ status, findings, destinations }, undefined, 2)}\n`;
}

const jsonStep = ({ name, ok, text, ms }: Step): object => ({ step: name, ok, text, ms: Math.round(ms) });

function jsonHost({ host, steps, tls, selected, username, dialogue, failure }: HostProbe): object {
  const { facts, verdict } = tls ?? {};
  const certificate = facts?.certificate;
  return {
    host: host.name,
    address: host.address,
    port: host.port,
    ok: failure === undefined,
    steps: steps.map(jsonStep),
    tls: facts && {
      protocol: facts.protocol,
      cipher: facts.cipher,
      status: verdict?.status,
      names: certificate?.names ?? [],
      issuer: certificate?.issuer,
      chain: certificate?.chain() ?? [],
      expires:
        certificate && !Number.isNaN(certificate.validTo_ms) ? new Date(certificate.validTo_ms).toISOString() : null,
    },
    login: selected && {
      username,
      used: selected.by.kind === "mechanism" ? selected.by.mechanism.name : null,
      required: [...selected.required],
      rejected: selected.by.rejected.map(({ name, because, lacking }) => ({ mechanism: name, because, lacking })),
    },
    dialogue: dialogue.map(({ by, line }) => ({ by, line })),
  };
}
