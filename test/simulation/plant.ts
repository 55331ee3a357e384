import { readdirSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import type { Edit, Fault } from "./faults.ts";

/**
 * Modules with a fault in them. The module that is changed, and all that import it, directly or not, are loaded anew for each fault, told
 * apart by their address (`?fault=`); what they have in common with the others is shared. Nothing in src/ knows of it.
 */
const source = new URL("../../src/", import.meta.url).href;
const simulation = new URL("./", import.meta.url).href;
/** By name: the fault, and the addresses of the modules that are loaded anew for it. */
const faults = new Map<string, { readonly fault: Fault; readonly anew: ReadonlySet<string> }>();

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const name = context.parentURL && new URL(context.parentURL).searchParams.get("fault");
    if (!name || !faults.get(name)?.anew.has(resolved.url)) return resolved;
    return { ...resolved, url: `${resolved.url}?fault=${encodeURIComponent(name)}` };
  },
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith(source)) return loaded;
    const planted = faults.get(new URL(url).searchParams.get("fault") ?? "");
    const file = url.slice(source.length).replace(/\?.*/, "");
    const edits = planted?.fault.edits.filter((edit) => edit.file === file) ?? [];
    if (edits.length === 0) return loaded;
    return { ...loaded, source: edits.reduce((text, edit) => replaced(text, edit), String(loaded.source)) };
  },
});

/** A module of this directory, loaded with the fault in what it imports. Throws where the text to be changed is not there exactly once. */
export async function withFault<Module>(fault: Fault, module: string): Promise<Module> {
  for (const edit of fault.edits) replaced(readFileSync(new URL(edit.file, source), "utf8"), edit);
  const anew = new Set<string>();
  for (const { file } of fault.edits) addImporters(new URL(file, source).href, anew);
  faults.set(fault.name, { fault, anew });
  return (await import(`${new URL(module, simulation).href}?fault=${encodeURIComponent(fault.name)}`)) as Module;
}

function replaced(text: string, { file, text: from, becomes }: Edit): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`src/${file} has this ${parts.length - 1} times, and should once: ${from}`);
  return parts.join(becomes);
}

/** A module and all that import it. */
function addImporters(url: string, found: Set<string>): void {
  if (found.has(url)) return;
  found.add(url);
  importers ??= readImporters();
  for (const importer of importers.get(url) ?? []) addImporters(importer, found);
}

let importers: ReadonlyMap<string, ReadonlySet<string>> | undefined;

function readImporters(): ReadonlyMap<string, ReadonlySet<string>> {
  const read = new Map<string, Set<string>>();
  for (const root of [source, simulation]) {
    for (const file of readdirSync(fileURLToPath(root), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const importer = new URL(file, root).href;
      const text = readFileSync(new URL(importer), "utf8");
      for (const [, path = ""] of text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)["'](\.[^"']+)["']/g)) {
        const imported = new URL(path, importer).href;
        read.set(imported, (read.get(imported) ?? new Set<string>()).add(importer));
      }
    }
  }
  return read;
}
