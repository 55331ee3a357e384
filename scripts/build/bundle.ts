import { readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { build, type Plugin } from "esbuild";
import { importedLater, loading, programAt, programs, root, startedFile } from "./programs.ts";

export interface Bundled {
  /** Of the program. */
  readonly name: string;
  /** One script of ASCII: a function like the one that Node wraps around a module. */
  readonly text: string;
  /** The files that it was made from, from the root. */
  readonly inputs: readonly string[];
}

/** Every program as one script. `bytesOf` has the bytes of each input as they were. */
export async function bundle(): Promise<{
  readonly bundled: readonly Bundled[];
  readonly bytesOf: ReadonlyMap<string, Buffer>;
}> {
  const bytesOf = new Map<string, Buffer>();
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: { ...programs },
    outdir: join(root, "build"),
    bundle: true,
    write: false,
    metafile: true,
    format: "cjs",
    platform: "node",
    target: "node26",
    charset: "ascii",
    // Native code stays where npm has put it; the last one is wanted by "pg" where it is there.
    external: ["better-sqlite3", "koffi", "pg-native"],
    plugins: [sources(bytesOf), lateBuiltins],
    // All packages are in the script: there is nothing to find. (src/table/mysql.ts asks.)
    define: { "import.meta.resolve": "undefined" },
    // A script that is run with its compiled code has no import() of its own.
    supported: { "dynamic-import": false },
    banner: { js: "(function (exports, require, module, __filename, __dirname) {" },
    footer: { js: "})" },
    logLevel: "warning",
  });
  const bundled = outputFiles.map(({ path, text }) => {
    const inputs = Object.keys(metafile.outputs[relative(root, path)]?.inputs ?? {});
    return { name: basename(path, ".js"), text, inputs: inputs.filter((input) => bytesOf.has(input)) };
  });
  return { bundled, bytesOf };
}

/** Reads files, and notes what was read. Where a source names another program, that of the build takes its place. */
const sources = (bytesOf: Map<string, Buffer>): Plugin => ({
  name: "sources",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /\/bin\/programs\.cjs$/ }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /.*/, namespace: "file" }, ({ path }) => {
      const bytes = readFileSync(path);
      const file = relative(root, path);
      bytesOf.set(file, bytes);
      return { contents: file.startsWith("src/") ? redirected(file, bytes.toString()) : bytes, loader: "default" };
    });
  },
});

function redirected(file: string, text: string): string {
  return text
    .replace(startedFile, (_match, to: string) => {
      const name = programAt(file, to);
      return `require("node:url").pathToFileURL(__dirname + "/${name}.cjs")`;
    })
    .replace(importedLater, (match, to: string) => {
      const name = programAt(file, to);
      return name ? `Promise.resolve().then(() => ${loading(name)})` : match;
    });
}

/** Modules of Node's own that take a while to load, and that many a process never needs. */
const late = ["child_process", "crypto", "dns/promises", "net", "tls", "worker_threads", "zlib"];

/** They are loaded when something of them is first used. */
const lateBuiltins: Plugin = {
  name: "late-builtins",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^node:/ }, ({ path, namespace }) =>
      namespace !== "late" && late.includes(path.slice("node:".length))
        ? { path, namespace: "late" }
        : { path, external: true },
    );
    onLoad({ filter: /.*/, namespace: "late" }, async ({ path }) => {
      const getters = Object.keys(await import(path)).map((name) => `get ${name}() { return late()["${name}"]; }`);
      return {
        contents: `let known; const late = () => (known ??= require("${path}"));\nmodule.exports = { ${getters.join(", ")} };`,
        loader: "js",
      };
    });
  },
};
