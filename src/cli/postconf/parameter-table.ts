import { tableParameterNames } from "../../conf/dbms-parameters.ts";
import { ExpansionError, expand, references } from "../../conf/expand.ts";
import type { Setting } from "../../conf/main-cf.ts";
import type { Params } from "../../conf/param.ts";
import { postfixParameters, unexpanded } from "../../conf/postfix-parameters.ts";
import type { Settings } from "../../conf/settings.ts";
import { transportParameters } from "../../conf/transport-parameters.ts";
import type { MasterEntry } from "./master-entries.ts";

/** Where a parameter's name comes from; postconf's -C. */
export type ParameterClass = "builtin" | "service" | "user";

export interface Known {
  class: ParameterClass | "legacy";
  /** Its default, unexpanded; "" for one that only the user knows. */
  readonly fallback: () => string;
}

/** The mistake was reported as a warning; the command ends with "macro processing error". */
export class MacroError extends Error {}

interface TableOptions {
  readonly settings: Settings;
  readonly declared: Params;
  readonly entries: readonly MasterEntry[];
  /** The directory as given, for messages. */
  readonly directory: string;
  readonly warn: (text: string) => void;
}

const readOnly = new Set(["process_id", "process_name", "service_name"]);

/**
 * The names that postconf knows for one configuration. A name that the user
 * made up becomes known, and gets shown, when it has a value and something
 * refers to it: a `$name` in main.cf or in an -o of master.cf, or
 * smtpd_restriction_classes.
 */
export class ParameterTable {
  readonly known = new Map<string, Known>();
  /** What main.cf and -o say. */
  readonly written: Map<string, Setting>;
  readonly #options: TableOptions;
  readonly #classes = new Set<string>();
  readonly #local = new Map<MasterEntry, Set<string>>();

  constructor(options: TableOptions, written: ReadonlyMap<string, Setting>, process: { name: string; id: number }) {
    this.#options = options;
    this.written = new Map(written);
    this.#addBuiltin(process);
    for (const entry of options.entries) {
      for (const [name, text] of transportParameters(entry.name, entry.command)) this.#addService(name, text);
    }
  }

  #addBuiltin(process: { name: string; id: number }): void {
    const { settings, declared } = this.#options;
    for (const [name, { legacy }] of postfixParameters()) {
      this.known.set(name, { class: legacy ? "legacy" : "builtin", fallback: () => settings.defaultText(name) ?? "" });
    }
    for (const name of Object.keys(declared)) {
      if (this.known.has(name)) continue;
      this.known.set(name, { class: "builtin", fallback: () => settings.defaultText(name) ?? "" });
    }
    const own = { process_id: String(process.id), process_name: process.name, service_name: "" };
    for (const [name, value] of Object.entries(own)) this.known.set(name, { class: "builtin", fallback: () => value });
  }

  #addService(name: string, text: string): void {
    const known = this.known.get(name);
    if (known) known.class = "service";
    else this.known.set(name, { class: "service", fallback: () => text });
  }

  /** Finds the names that users made up, and warns of `$name` without a value. */
  findUserParameters(): void {
    for (const entry of this.#options.entries) this.#scan(entry, entry.overrides);
    for (const [name, { fallback }] of [...this.known]) {
      if (!this.written.has(name) && !unexpanded.has(name)) this.#scanValue(fallback(), undefined);
    }
    this.#scan(undefined, new Map([...this.written].map(([name, { value }]) => [name, value])));
  }

  #scan(entry: MasterEntry | undefined, values: ReadonlyMap<string, string>): void {
    const classes = values.get("smtpd_restriction_classes");
    if (classes !== undefined) {
      for (const name of this.expand(classes)
        .split(/[\s,]+/)
        .filter(Boolean)) {
        if (!entry) this.#classes.add(name);
        this.#refer(name, entry, false);
      }
    }
    for (const [name, value] of values) this.#scanEntry(name, value, entry);
  }

  #scanEntry(name: string, value: string, entry: MasterEntry | undefined): void {
    if (entry && this.#classes.has(name)) this.#localNames(entry).add(name);
    const known = this.known.get(name);
    if (readOnly.has(name)) {
      this.#options.warn(`${this.#file(entry)}: read-only parameter assignment: ${name}=${value}`);
      if (!entry) this.written.delete(name);
      return;
    }
    if (known?.class === "legacy") known.class = "user";
    if (known && unexpanded.has(name)) return;
    this.#scanValue(value, entry);
    if (known && known.class !== "user") {
      for (const each of tableParameterNames(this.expand(value))) this.#refer(each, entry, true);
    }
  }

  #scanValue(value: string, entry: MasterEntry | undefined): void {
    try {
      references(value, (name) => this.#refer(name, entry, false));
    } catch (error) {
      if (!(error instanceof ExpansionError)) throw error;
      this.#options.warn(error.message);
    }
  }

  /** Something refers to `name`. `optional` names come from a list, not all of which need exist. */
  #refer(name: string, entry: MasterEntry | undefined, optional: boolean): void {
    let supplied = false;
    const add = () => {
      supplied = true;
      if (!this.known.has(name)) this.known.set(name, { class: "user", fallback: () => "" });
    };
    if (entry?.overrides.has(name)) {
      supplied = true;
      if (!this.known.has(name)) this.#localNames(entry).add(name);
    } else if (this.written.has(name)) {
      add();
    }
    if (!entry) {
      for (const each of this.#options.entries) {
        if (!each.overrides.has(name)) continue;
        supplied = true;
        this.#localNames(each).add(name);
      }
    }
    if (!supplied && !optional && !this.known.has(name)) {
      this.#options.warn(`${this.#file(entry)}: undefined parameter: ${name}`);
    }
  }

  /** Warnings about what is written and known to nobody, main.cf's first. */
  flagUnused(): void {
    const { warn } = this.#options;
    for (const name of [...this.written.keys()].sort()) {
      if (!this.known.has(name))
        warn(`${this.#file(undefined)}: unused parameter: ${name}=${this.written.get(name)?.value}`);
    }
    this.flagUnusedOfServices();
  }

  /** Those about master.cf. */
  flagUnusedOfServices(): void {
    const { warn, entries } = this.#options;
    for (const entry of entries) {
      for (const name of [...entry.overrides.keys()].sort()) {
        if (this.known.has(name) || this.#localNames(entry).has(name)) continue;
        warn(`${this.#file(entry)}: unused parameter: ${name}=${entry.overrides.get(name)}`);
      }
    }
  }

  /** The value of a known name, unexpanded: what is written, else the default. */
  value(name: string): string | undefined {
    return this.written.get(name)?.value ?? this.known.get(name)?.fallback();
  }

  /** A value with its `$` expanded, as a service sees it where one is given. Throws MacroError, after a warning. */
  expand(value: string, entry?: MasterEntry): string {
    const own = new Map(entry && [...entry.overrides, ["process_name", entry.command], ["service_name", entry.name]]);
    try {
      return expand(value, (name) => own.get(name) ?? this.value(name));
    } catch (error) {
      if (!(error instanceof ExpansionError)) throw error;
      this.#options.warn(error.message);
      throw new MacroError("macro processing error");
    }
  }

  #localNames(entry: MasterEntry): Set<string> {
    let names = this.#local.get(entry);
    if (!names) {
      names = new Set();
      this.#local.set(entry, names);
    }
    return names;
  }

  #file(entry: MasterEntry | undefined): string {
    return `${this.#options.directory}/${entry ? "master.cf" : "main.cf"}`;
  }
}
