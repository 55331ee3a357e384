import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { Maps } from "../table/maps.ts";
import { foldKey, TableError } from "../table/table.ts";
import { routingParams } from "./params.ts";
import { Router, type RoutingConf } from "./resolve.ts";

/** Tables for tests: by reference, entries or the error with which every look-up ends. */
export type TestTables = Readonly<Record<string, Readonly<Record<string, string>> | TableError>>;

export interface TestRouterOptions {
  readonly conf?: Readonly<Record<string, string>>;
  readonly tables?: TestTables;
  /** Answers come later, as from a database. */
  readonly later?: boolean;
  readonly includes?: Readonly<Record<string, string>>;
}

export function testMaps({ tables = {}, later = false }: TestRouterOptions): (references: readonly string[]) => Maps {
  return (references) =>
    new Maps(
      references.map((reference) => {
        const entries = tables[reference] ?? new TableError("config", `no table ${reference}`);
        if (entries instanceof TableError) return { reference, patterns: false, current: entries };
        const folded = new Map(Object.entries(entries).map(([key, value]) => [foldKey(key), value]));
        const get = (key: string) => (later ? Promise.resolve(folded.get(foldKey(key))) : folded.get(foldKey(key)));
        return { reference, patterns: false, current: { get, close: async () => {} } };
      }),
    );
}

const written = {
  ...{ myhostname: "mx.here.example", mydomain: "here.example", myorigin: "here.example" },
  ...{ mydestination: "here.example, mx.here.example, localhost", relay_domains: "", virtual_alias_domains: "" },
  ...{ virtual_mailbox_domains: "", relay_recipient_maps: "" },
  ...{ virtual_alias_maps: "", alias_maps: "", local_transport: "local:mx.here.example", append_dot_mydomain: "no" },
};

/** A router of mx.here.example, for tests; 192.0.2.1 is its address. */
export function testRouter(options: TestRouterOptions = {}): Router {
  const conf = { ...written, ...options.conf };
  const includes = options.includes ?? {};
  return new Router({ ...defaults(globalParams, conf), ...defaults(routingParams, conf) } as RoutingConf, {
    maps: testMaps(options),
    file: () => undefined,
    ownAddress: (address) => address === "192.0.2.1",
    async include(path) {
      const text = includes[path];
      if (text === undefined) throw new TableError("config", `cannot read :include:${path}`);
      return text === "(refused)" ? { kind: "refused", why: "can be written by everybody" } : { kind: "text", text };
    },
  });
}
