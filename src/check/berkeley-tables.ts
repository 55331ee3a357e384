/**
 * Tables in files of Berkeley DB (`hash`, `btree`), and how they move to LMDB: newer systems build their Postfix without that
 * library. Postern reads and writes both, so nothing need be done for its sake.
 */
import { type Finding, finding } from "./finding.ts";
import type { Scene, UsedTable } from "./scene.ts";
import { quoted } from "./shell.ts";

export const berkeleyTypes: ReadonlySet<string> = new Set(["hash", "btree"]);

export async function inspectBerkeleyTables(scene: Scene): Promise<Finding[]> {
  const { tables, configuration, runtime } = scene;
  const used = tables.filter(({ type }) => berkeleyTypes.has(type));
  if (used.length === 0) return [];
  const withoutSource = new Set<string>();
  for (const { name } of used) {
    if (!(await runtime.files.facts(name).catch(() => undefined))) withoutSource.add(name);
  }
  const names = used.map(({ text, parameter }) => `${text} (${parameter})`);
  const overrides = used.filter(({ place }) => place.file.endsWith("master.cf"));
  return [
    finding("notice", "berkeley-db", `tables in files of Berkeley DB: ${names.join(", ")}`, {
      why: "Postern goes on reading and writing them; Postfix on newer systems does not know these types any more",
      remedy:
        overrides.length === 0
          ? "To move to LMDB, make the new indexes, then name them. Both programs read them"
          : "To move to LMDB, make the new indexes, then name them, in master.cf by hand. Both programs read them",
      commands: [
        ...used.flatMap((table) => newIndex(scene, table, withoutSource.has(table.name))),
        ...scene.shell.set(renamed(used, configuration)),
      ],
    }),
  ];
}

function newIndex({ shell }: Scene, { type, name, parameter }: UsedTable, withoutSource: boolean): string[] {
  const made = /^alias_/.test(parameter) ? `postalias ${quoted(`lmdb:${name}`)}` : shell.postmap(`lmdb:${name}`);
  // What postmap lists is a source.
  const source = `${shell.postmap(`${type}:${name}`).replace("postmap", "postmap -s")} > ${quoted(name)}`;
  return withoutSource ? [source, made] : [made];
}

/** The parameters with LMDB in the place of Berkeley DB, in the words that they were written with, or that their default has. */
function renamed(used: readonly UsedTable[], { settings }: Scene["configuration"]): Record<string, string> {
  const ofDefaults = used.filter(({ place }) => place.file === "").map(({ parameter }) => parameter);
  const changed: Record<string, string> = {};
  for (const parameter of new Set([...settings.names(), ...ofDefaults])) {
    const value = settings.raw(parameter) ?? "";
    const moved = value.replace(/(?<![\w/.-])(?:hash|btree):/g, "lmdb:");
    if (moved !== value) changed[parameter] = moved;
  }
  // Tables without a type, and what postmap makes where none is given.
  if (berkeleyTypes.has(settings.value("default_database_type"))) changed.default_database_type = "lmdb";
  return changed;
}
