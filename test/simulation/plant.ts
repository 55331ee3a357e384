import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import type { Fault } from "./faults.ts";

/**
 * Modules with a fault in them. A graph of modules is loaded anew for each fault, told apart by its address
 * (`?fault=`), and the text of one of them is changed on the way in. Nothing in src/ knows of it.
 */
const source = new URL("../../src/", import.meta.url).href;
const simulation = new URL("./", import.meta.url).href;
const faults = new Map<string, Fault>();

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const fault = context.parentURL && new URL(context.parentURL).searchParams.get("fault");
    if (!fault || !(resolved.url.startsWith(source) || resolved.url.startsWith(simulation))) return resolved;
    return { ...resolved, url: `${resolved.url}?fault=${encodeURIComponent(fault)}` };
  },
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith(source)) return loaded;
    const fault = faults.get(new URL(url).searchParams.get("fault") ?? "");
    const file = url.slice(source.length).replace(/\?.*/, "");
    const edits = fault?.edits.filter((edit) => edit.file === file) ?? [];
    if (edits.length === 0) return loaded;
    return { ...loaded, source: edits.reduce((text, edit) => replaced(text, edit), String(loaded.source)) };
  },
});

/** A module of this directory, loaded with the fault in what it imports. Throws where the text to be changed is not there exactly once. */
export async function withFault<Module>(fault: Fault, module: string): Promise<Module> {
  for (const edit of fault.edits) replaced(readFileSync(new URL(edit.file, source), "utf8"), edit);
  faults.set(fault.name, fault);
  return (await import(`${new URL(module, simulation).href}?fault=${encodeURIComponent(fault.name)}`)) as Module;
}

function replaced(text: string, { file, text: from, becomes }: Fault["edits"][number]): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`src/${file} has this ${parts.length - 1} times, and should once: ${from}`);
  return parts.join(becomes);
}
