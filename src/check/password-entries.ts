/**
 * What stands in the tables of smtp_sasl_password_maps, compared with what is looked up there: the
 * next hop exactly as configured, and the bare name of the host. An entry under any other key
 * is never found, and the mail goes without a login.
 */
import { parseNextHop } from "../dns/nexthop.ts";
import { readWhole } from "../runtime/files.ts";
import { entryLines, LogicalLines } from "../table/source.ts";
import { tableTypes } from "../table/types.ts";
import { type Finding, finding } from "./finding.ts";
import type { NextHopUse } from "./next-hops.ts";
import type { Scene, UsedTable } from "./scene.ts";
import { quoted } from "./shell.ts";

interface Entry {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}

interface Source {
  readonly path: string;
  readonly table: UsedTable;
  readonly entries: readonly Entry[];
  /** What postmap would say about lines that it leaves out. */
  readonly complaints: readonly string[];
}

/** Larger sources are not compared: nobody writes so many passwords by hand. */
const sourceLimit_bytes = 1024 * 1024;

export async function inspectPasswordEntries(scene: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const table of scene.tables) {
    if (table.parameter !== "smtp_sasl_password_maps") continue;
    const source = await readSource(scene, table);
    if (!source) continue;
    for (const text of source.complaints) {
      findings.push(
        finding("warning", "password-line", text, {
          why: "The line is left out, and no login is found for what it was meant for",
          remedy: `Write it as: [server]:port user:password, then run: ${scene.shell.postmap(table.text)}`,
        }),
      );
    }
    for (const entry of source.entries) findings.push(...inspectEntry(scene, source, entry));
  }
  return findings;
}

async function readSource({ runtime: { files } }: Scene, table: UsedTable): Promise<Source | undefined> {
  const type = tableTypes.find(({ name }) => name === table.type);
  const path = table.files.source ?? table.files.index;
  if (path === undefined || !(type?.index || table.type === "texthash")) return undefined;
  try {
    const { bytes } = await readWhole(files, path, sourceLimit_bytes);
    const complaints: string[] = [];
    const entries: Entry[] = [];
    const warn = (text: string): void => void complaints.push(withoutValues(text));
    const take = entryLines({ path, utf8: false, sayIgnored: false, warn }, (line, keyEnd, from, to, number) => {
      entries.push({
        key: unquoted(line.toString("utf8", 0, keyEnd)),
        value: line.toString("utf8", from, to),
        line: number,
      });
    });
    const lines = new LogicalLines(path, take, warn);
    lines.feed(bytes);
    lines.end();
    return { path, table, entries, complaints };
  } catch {
    // It cannot be read, or not be parsed: opening the table has said so.
    return undefined;
  }
}

/** Postfix's complaints quote the line, and the line is a password. */
const withoutValues = (text: string): string => text.replace(/(["']).*\1/s, "(not shown)");

const unquoted = (key: string): string => key.replace(/^"(.*)"$/s, "$1");

function inspectEntry(scene: Scene, source: Source, entry: Entry): Finding[] {
  const place = { file: source.path, line: entry.line };
  const findings: Finding[] = [];
  const delimiter = delimiterOf(scene);
  if (!entry.value.includes(delimiter)) {
    findings.push(
      finding(
        "warning",
        "password-missing",
        `the entry for ${entry.key} has no "${delimiter}": its password is empty`,
        {
          ...place,
          why: "The whole text counts as the user name, and the server will refuse the login",
          remedy: `Write user${delimiter}password behind the key, then run: ${scene.shell.postmap(source.table.text)}`,
        },
      ),
    );
  }
  const host = hostOf(entry.key);
  if (host === undefined) return findings;
  if (scene.hops.some((hop) => looksUp(hop, entry.key))) return findings;
  const meant = scene.hops.find(({ nexthop }) => hostOf(nexthop) === host);
  findings.push(meant ? otherForm(scene, source, entry, meant) : unused(entry, place, scene));
  return findings;
}

function delimiterOf({ configuration: { conf } }: Scene): string {
  return conf.smtp_sasl_password_result_delimiter.slice(0, 1) || ":";
}

/** Keys are compared in lower case; next hops are looked up as they are written, and folded. */
function looksUp({ nexthop }: NextHopUse, key: string): boolean {
  const asked = key.toLowerCase();
  if (asked === nexthop.toLowerCase()) return true;
  const hop = parseNextHop(nexthop);
  return !("error" in hop) && hop.host.toLowerCase() === asked;
}

/** The host of a key or next hop, whatever its form; undefined for a sender's key, and for what is no server. */
function hostOf(key: string): string | undefined {
  if (key.includes("@")) return undefined;
  const hop = parseNextHop(key.toLowerCase());
  return "error" in hop ? undefined : hop.host;
}

function otherForm(
  scene: Scene,
  { path, table }: Source,
  { key, line }: Entry,
  { nexthop, parameter }: NextHopUse,
): Finding {
  const postmap = scene.shell.postmap(table.text);
  const edit = `sed -i ${quoted(`${line}s/${pattern(key)}/${nexthop}/`)} ${quoted(path)}`;
  return finding("warning", "password-key", `the entry for ${key} is never found: ${parameter} says ${nexthop}`, {
    file: path,
    line,
    why: "A login is looked up under the next hop exactly as it is written, brackets and port included; mail goes there without one",
    remedy: `Write ${nexthop} in place of ${key}, then make the index again`,
    commands: table.files.index === path ? [edit] : [edit, postmap],
  });
}

/** A basic regular expression of sed(1) for these characters and no others. */
const pattern = (text: string): string => text.replace(/[\\/.*[\]^$]/g, "\\$&");

/** Where mail also goes directly, any host may be met. */
function unused({ key }: Entry, place: { file: string; line: number }, { hops }: Scene): Finding {
  const elsewhere = hops.length === 0 ? "mail is sent to no relay host" : "nothing leads mail there";
  return finding("notice", "password-unused", `the entry for ${key} is not used: ${elsewhere}`, {
    ...place,
    why: "A password that nothing uses can only be stolen",
    remedy: `If mail should go there, write it into main.cf: relayhost = ${key}`,
  });
}
