/** Lookup tables as files: are they up to date, who can read them, who can change them. */
import { dirname } from "node:path";
import { errorCode, type FileFacts, readWhole } from "../runtime/files.ts";
import { tableTypes } from "../table/types.ts";
import { type Finding, finding } from "./finding.ts";
import type { Scene, UsedTable } from "./scene.ts";
import { quoted } from "./shell.ts";

export async function inspectTables(scene: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const table of scene.tables) {
    const facts = await factsOf(scene, table);
    findings.push(...stale(scene, table, facts), ...readable(scene, table, facts), ...writable(scene, table, facts));
    findings.push(...(await databasePassword(scene, table, facts)), ...(await replaceable(scene, table)));
  }
  return findings;
}

type Facts = ReadonlyMap<string, FileFacts>;

async function factsOf({ runtime: { files } }: Scene, { files: own }: UsedTable): Promise<Facts> {
  const found = new Map<string, FileFacts>();
  for (const path of [own.index, own.source]) {
    if (path === undefined) continue;
    try {
      found.set(path, await files.facts(path));
    } catch (error) {
      if (errorCode(error) === "") throw error;
    }
  }
  return found;
}

function stale({ shell }: Scene, table: UsedTable, facts: Facts): Finding[] {
  const { index = "", source = "" } = table.files;
  const [made, written] = [facts.get(index), facts.get(source)];
  if (!made || !written || index === source || written.mtime_ms <= made.mtime_ms) return [];
  const postmap = /^alias_/.test(table.parameter) ? `postalias ${quoted(table.text)}` : shell.postmap(table.text);
  return [
    finding("warning", "table-stale", `${index} is older than its source ${source}`, {
      file: source,
      why: "What was changed in the source since then is not in use",
      remedy: "Make the index again",
      commands: [postmap],
    }),
  ];
}

/** Only tables of passwords are anybody's secret. */
function readable({ configuration: { transports } }: Scene, table: UsedTable, facts: Facts): Finding[] {
  const secret = transports.some(({ conf }) => conf.smtp_sasl_password_maps.some((each) => sameTable(each, table)));
  const paths = [...facts].filter(([, { mode }]) => (mode & 0o004) !== 0).map(([path]) => path);
  if (!secret || paths.length === 0) return [];
  return paths.map((path) =>
    finding("warning", "passwords-readable", "holds passwords, and everybody on this host can read it", {
      file: path,
      why: "Every program on this host can send mail as you, and read your mailbox where the password is the same",
      remedy: "Take that right away; root is who reads it",
      commands: [`chmod o= ${quoted(path)}`],
    }),
  );
}

/** Files of parameters are small; of a larger one, the table says what is wrong. */
const parametersLimit_bytes = 1024 * 1024;

/** The parameters of a database, with the password for it among them. */
async function databasePassword({ runtime: { files } }: Scene, table: UsedTable, facts: Facts): Promise<Finding[]> {
  const { source = "" } = table.files;
  const type = tableTypes.find(({ name }) => name === table.type);
  if (!type?.holdsPassword || ((facts.get(source)?.mode ?? 0) & 0o004) === 0) return [];
  const read = await readWhole(files, source, parametersLimit_bytes).catch(() => undefined);
  if (!read || !type.holdsPassword(read.bytes)) return [];
  return [
    finding("warning", "passwords-readable", "holds a password, and everybody on this host can read it", {
      file: source,
      why: "Every program on this host can ask the database, with the rights of that login",
      remedy: "Take that right away; root is who reads it",
      commands: [`chmod o= ${quoted(source)}`],
    }),
  ];
}

const sameTable = (written: string, { text, name }: UsedTable): boolean =>
  written === text || written === name || written.replace(/^(?:proxy:)+/, "") === text;

function writable(_: Scene, { parameter }: UsedTable, facts: Facts): Finding[] {
  return [...facts]
    .filter(([, { mode, kind }]) => kind === "file" && (mode & 0o002) !== 0)
    .map(([path]) =>
      finding("warning", "table-writable", `is used by ${parameter}, and everybody on this host can change it`, {
        file: path,
        why: "Whoever can change it decides where mail goes, or with which login",
        remedy: "Take that right away",
        commands: [`chmod o-w ${quoted(path)}`],
      }),
    );
}

/** Whoever may write to a directory can put another file in a file's place; a sticky bit keeps others from that. */
async function replaceable({ runtime: { files } }: Scene, { files: own, parameter }: UsedTable): Promise<Finding[]> {
  const path = own.index ?? own.source;
  if (path === undefined) return [];
  const directory = dirname(path);
  const facts = await files.facts(directory).catch(() => undefined);
  if (!facts || (facts.mode & 0o002) === 0 || (facts.mode & 0o1000) !== 0) return [];
  return [
    finding("warning", "directory-writable", `everybody on this host can replace what ${parameter} reads from it`, {
      file: directory,
      why: "Whoever can change it decides where mail goes, or with which login",
      remedy: "Take that right away",
      commands: [`chmod o-w ${quoted(directory)}`],
    }),
  ];
}
