/**
 * `postern check`: reads a configuration and says what is wrong with it or will be; then asks each
 * next hop that mail can be led to. Changes nothing, and sends no mail.
 *
 * Adding an inspection is one file and one line in `inspections`.
 */

import { parseNextHop } from "../dns/nexthop.ts";
import { clientParts } from "../relay/client-parts.ts";
import type { SmtpTransport } from "../relay/configuration.ts";
import { splitAddress } from "../rfc5321/path.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { TableError } from "../table/table.ts";
import { inspectBerkeleyTables } from "./berkeley-tables.ts";
import { arranged, type Finding, finding, nowhere, statusOf } from "./finding.ts";
import { inspectHost } from "./host.ts";
import { inspectIdentity } from "./identity.ts";
import { inspectLogins } from "./logins.ts";
import type { NextHopUse } from "./next-hops.ts";
import { inspectPasswordEntries } from "./password-entries.ts";
import { type HopProbe, probeHop, silent } from "./probe.ts";
import { probeFindings } from "./probe-findings.ts";
import { inspectQueueFiles } from "./queue.ts";
import { type Scene, setScene } from "./scene.ts";
import { inspectTables } from "./tables.ts";
import { inspectTlsSettings, wrapperPort } from "./tls-settings.ts";
import { inspectWrittenValues } from "./written-values.ts";

export interface CheckRequest {
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Asks nobody. */
  readonly offline: boolean;
  /** Next hops as main.cf writes them, or addresses of recipients; empty: all that the configuration leads to. */
  readonly destinations: readonly string[];
  /** The sender that is offered; undefined: root at this host, as its programs send. */
  readonly from: string | undefined;
  /** How long an answer is waited for, in seconds. */
  readonly patience_s: number;
  /** Called as probes begin and end. */
  readonly progress: (done: number, all: number) => void;
}

export interface CheckReport {
  readonly status: 0 | 1 | 78;
  readonly findings: readonly Finding[];
  readonly probes: readonly HopProbe[];
}

type Inspection = (scene: Scene) => Promise<readonly Finding[]>;

const inspections: readonly Inspection[] = [
  inspectWrittenValues,
  inspectTables,
  inspectBerkeleyTables,
  inspectPasswordEntries,
  inspectLogins,
  inspectTlsSettings,
  inspectIdentity,
  inspectHost,
  inspectQueueFiles,
];

/** How many next hops are asked at once, and at most. */
const probesAtOnce = 8;
const probeLimit = 50;

export async function check(runtime: Runtime, request: CheckRequest): Promise<CheckReport> {
  const { scene, findings: early } = await setScene(runtime, request);
  const findings: Finding[] = [...early];
  let probes: readonly HopProbe[] = [];
  if (scene) {
    for (const inspect of inspections) findings.push(...(await inspect(scene)));
    if (!request.offline) {
      const chosen = await chosenHops(scene, request.destinations);
      findings.push(...chosen.findings);
      probes = await probeAll(scene, chosen.hops, request);
      const context = { shell: scene.shell, now_ms: runtime.clock.now() };
      for (const probe of probes) findings.push(...probeFindings(probe, context));
    }
  }
  const told = arranged(withoutGuesses(findings, probes));
  return { status: statusOf(told), findings: told, probes };
}

/** What the configuration alone only lets one fear is not said where a server, or another finding, tells more. */
function withoutGuesses(findings: readonly Finding[], probes: readonly HopProbe[]): Finding[] {
  const asked = probes.some(({ hosts }) => hosts.some(({ selected }) => selected !== undefined));
  const misplaced = findings.filter(({ code }) => code === "password-key").map(({ about }) => about);
  return findings.filter(({ code, about }) => {
    if (code === "plaintext-refused") return !asked;
    return code !== "no-login" || !misplaced.includes(about);
  });
}

async function chosenHops(
  scene: Scene,
  destinations: readonly string[],
): Promise<{ readonly hops: readonly NextHopUse[]; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = [];
  if (destinations.length === 0) {
    if (scene.hops.length > probeLimit) {
      findings.push(
        finding(
          "notice",
          "many-next-hops",
          `only the first ${probeLimit} of ${scene.hops.length} next hops were asked`,
        ),
      );
    }
    if (scene.hops.length === 0) {
      findings.push(
        finding(
          "notice",
          "no-next-hop",
          "mail goes directly to the servers of each domain: no relay host is configured",
          {
            remedy: "Name an address to have the way to it checked: postern check somebody@example.org",
          },
        ),
      );
    }
    return { hops: scene.hops.filter((hop) => !isHopeless(hop)).slice(0, probeLimit), findings };
  }
  const hops: NextHopUse[] = [];
  for (const destination of destinations) {
    const found = await namedHop(scene, destination);
    if ("text" in found) findings.push(found);
    else hops.push(...found);
  }
  return { hops, findings };
}

/** An address is followed as its mail would be; anything else is a next hop. */
async function namedHop(scene: Scene, destination: string): Promise<NextHopUse[] | Finding> {
  const { transports, conf } = scene.configuration;
  const named = (name: string): SmtpTransport | undefined => transports.find((each) => each.name === name);
  if (splitAddress(destination).domain === "") {
    const known = scene.hops.find(({ nexthop }) => nexthop === destination);
    const usual = named(conf.default_transport.split(":", 1)[0] ?? "");
    const transport = known?.transport ?? (usual?.protocol === "smtp" ? usual : named("smtp"));
    const hop = parseNextHop(destination, transport?.conf.smtp_tcp_port);
    if ("error" in hop || !transport) return finding("error", "destination", "error" in hop ? hop.error : destination);
    return [known ?? { transport, nexthop: destination, sender: undefined, parameter: "", place: nowhere }];
  }
  try {
    const { hop } = await scene.router.route("", scene.router.rewriter.rewrite(destination));
    const transport = named(hop.transport);
    if (transport?.protocol === "lmtp") {
      return finding(
        "notice",
        "destination",
        `mail for ${destination} goes to an LMTP server, which is not asked: ${hop.transport}:${hop.nexthop}`,
      );
    }
    if (!transport) {
      return finding(
        "warning",
        "destination",
        `mail for ${destination} is not sent to a server: ${hop.transport}:${hop.nexthop}`,
      );
    }
    return hop.nexthop
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((nexthop) => ({ transport, nexthop, sender: undefined, parameter: "", place: nowhere }));
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    return finding("error", "destination", `the way to ${destination} cannot be told: ${error.message}`);
  }
}

/** As mail of this host's own programs has it when it leaves cleanup. */
async function usualSender({ router }: Scene): Promise<string> {
  const written = router.rewriter.rewrite("root");
  try {
    return await router.canonicalMaps.envelope("envelope_sender", written);
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    return written;
  }
}

async function probeAll(
  scene: Scene,
  hops: readonly NextHopUse[],
  { from, patience_s, progress }: CheckRequest,
): Promise<readonly HopProbe[]> {
  const probes: HopProbe[] = new Array(hops.length);
  const usual = await usualSender(scene);
  const waiting = hops.entries();
  let done = 0;
  const work = async (): Promise<void> => {
    for (const [index, use] of waiting) {
      const parts = clientParts(use.transport, scene, silent(scene.runtime.clock));
      probes[index] = await probeHop(use, from ?? use.sender ?? usual, parts, patience_s);
      progress(++done, hops.length);
    }
  };
  progress(0, hops.length);
  await Promise.all(Array.from({ length: Math.min(probesAtOnce, hops.length) }, work));
  return probes;
}

/** Of a next hop that cannot work as it is configured, a finding has said so; asking it takes until the time-out. */
function isHopeless({ nexthop, transport: { conf } }: NextHopUse): boolean {
  const hop = parseNextHop(nexthop, conf.smtp_tcp_port);
  return "error" in hop || (hop.port === wrapperPort && !conf.smtp_tls_wrappermode);
}
