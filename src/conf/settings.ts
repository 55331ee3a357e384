import { ExpansionError, expand } from "./expand.ts";
import { defaultDomain, defaultHostname, defaultNetworks, fallbackDomain, type HostFacts } from "./host-defaults.ts";
import type { Setting } from "./main-cf.ts";
import { type Params, splitList } from "./param.ts";
import { postfixParameters, unexpanded } from "./postfix-parameters.ts";
import { transportDefault } from "./transport-parameters.ts";

export interface SettingsOptions {
  readonly written: ReadonlyMap<string, Setting>;
  /** What the rooms declare; their defaults count before those of Postfix's list. */
  readonly declared: Params;
  readonly host: HostFacts;
  /** The configuration directory, for $config_directory. */
  readonly directory: string;
}

/** The expanded text of a parameter, or why there is none. */
export type Resolved =
  | { readonly text: string; readonly error?: undefined }
  | { readonly text?: undefined; readonly error: string };

/**
 * The parameters of one configuration as texts: what is written, and the
 * defaults of what is not. Never changes; `with` gives another one. Rooms do
 * not read this at run time: evaluate() makes frozen values of it.
 *
 * A default is the declaration's, else that of Postfix's own list, else, for a
 * transport's parameter, a reference to the common one. Those of myhostname,
 * mydomain and mynetworks are made of facts about the host.
 */
export class Settings {
  readonly #options: SettingsOptions;
  readonly #resolved = new Map<string, Resolved>();
  readonly #making = new Set<string>();

  constructor(options: SettingsOptions) {
    this.#options = options;
  }

  /** The expanded text; "" for a name that nobody knows, and for a value that cannot be expanded (see resolve). */
  value(name: string): string {
    return this.resolve(name).text ?? "";
  }

  /** Like value(), and tells why a value cannot be expanded. */
  resolve(name: string): Resolved {
    const known = this.#resolved.get(name);
    if (known) return known;
    const resolved = this.#expand(name);
    this.#resolved.set(name, resolved);
    return resolved;
  }

  /** Is it written (in main.cf, or as an override)? */
  has(name: string): boolean {
    return this.#options.written.has(name);
  }

  /** Where it is written. */
  at(name: string): { readonly file: string; readonly line: number } | undefined {
    const setting = this.#options.written.get(name);
    return setting && { file: setting.file, line: setting.line };
  }

  /** The names that are written. */
  names(): Iterable<string> {
    return this.#options.written.keys();
  }

  /** The text as written, or as the default has it, unexpanded; undefined for a name that nobody knows. */
  raw(name: string): string | undefined {
    return this.#options.written.get(name)?.value ?? this.defaultText(name);
  }

  /** The default, unexpanded; undefined for a name that nobody knows. */
  defaultText(name: string): string | undefined {
    const { declared, host, directory } = this.#options;
    switch (name) {
      case "myhostname":
        return defaultHostname(host.name, this.#written("mydomain", "myhostname") ?? fallbackDomain);
      case "mydomain":
        return defaultDomain(this.#written("myhostname", "mydomain") ?? this.defaultText("myhostname") ?? "");
      case "mynetworks":
        return this.#networks();
      case "config_directory":
        return directory;
    }
    if (Object.hasOwn(declared, name)) return declared[name]?.default;
    return postfixParameters().get(name)?.default ?? transportDefault(name);
  }

  /** A text with its `$` references expanded. Throws ExpansionError. */
  expand(text: string): string {
    return expand(text, (name) => this.raw(name));
  }

  /** These settings with others put above them, as `-o` in master.cf does. A plain text has no file and line. */
  with(overrides: ReadonlyMap<string, string | Setting>): Settings {
    if (overrides.size === 0) return this;
    const written = new Map(this.#options.written);
    for (const [name, setting] of overrides) {
      written.set(name, typeof setting === "string" ? { value: setting, file: "", line: 0 } : setting);
    }
    return new Settings({ ...this.#options, written });
  }

  #expand(name: string): Resolved {
    const raw = this.raw(name) ?? "";
    if (unexpanded.has(name)) return { text: raw };
    try {
      return { text: this.expand(raw) };
    } catch (error) {
      if (error instanceof ExpansionError) return { error: error.message };
      throw error;
    }
  }

  /** The expanded value of a name that is written, in which `without` has its written value or none. */
  #written(name: string, without: string): string | undefined {
    const setting = this.#options.written.get(name);
    if (!setting) return undefined;
    try {
      return expand(setting.value, (each) =>
        each === without ? this.#options.written.get(each)?.value : this.raw(each),
      );
    } catch {
      return "";
    }
  }

  #networks(): string {
    if (this.#making.has("mynetworks")) return "";
    this.#making.add("mynetworks");
    try {
      return defaultNetworks(this.#options.host, {
        style: this.value("mynetworks_style").trim().toLowerCase(),
        interfaces: words(this.value("inet_interfaces")),
        protocols: words(this.value("inet_protocols").toLowerCase()),
      });
    } finally {
      this.#making.delete("mynetworks");
    }
  }
}

function words(value: string): readonly string[] {
  try {
    return splitList(value);
  } catch {
    return [];
  }
}
