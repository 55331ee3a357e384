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
    plugins: [packages, sources(bytesOf), lateModules],
    // A script that is run with its compiled code has no import() of its own.
    supported: { "dynamic-import": false },
    banner: { js: "(function (exports, require, module, __filename, __dirname) { const $require = require;" },
    footer: { js: "})" },
    logLevel: "warning",
    logOverride: { "empty-import-meta": "error" },
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
      return `$require("node:url").pathToFileURL(__dirname + "/${name}.cjs")`;
    })
    .replace(/\bimport\.meta\.resolve\("([^"]+)"\)/g, '$require("node:url").pathToFileURL($require.resolve("$1")).href')
    .replace(importedLater, (match, to: string) => {
      const name = programAt(file, to);
      return name ? `Promise.resolve().then(() => ${loading(name)})` : match;
    });
}

/** Packages that go into the build. Others stay where npm has put them: they have native code, or load parts of themselves by name. */
const taken = ["re2js", "@mongodb-js/saslprep"];

const packages: Plugin = {
  name: "packages",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      const isOurs = relative(root, importer).startsWith("src/");
      return isOurs && !path.startsWith("node:") && !taken.includes(path) ? { path, external: true } : undefined;
    });
  },
};

/** Modules that take a while to load, and that many a process never needs: of Node's own, and one of the packages above. */
const late = [
  ...["child_process", "crypto", "dns/promises", "net", "tls", "worker_threads", "zlib"].map((name) => `node:${name}`),
  "re2js",
];

/** They are loaded when something of them is first used; what is in the build is read before privileges are dropped all the same. */
const lateModules: Plugin = {
  name: "late-modules",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^(node:|re2js$)/ }, ({ path, namespace }) => {
      if (namespace !== "late" && late.includes(path)) return { path, namespace: "late" };
      return path.startsWith("node:") ? { path, external: true } : undefined;
    });
    onLoad({ filter: /.*/, namespace: "late" }, async ({ path }) => {
      const names = Object.keys(await import(path)).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name));
      const getters = names.map((name) => `get ${name}() { return late()["${name}"]; }`);
      return {
        contents: `let known; const late = () => (known ??= require("${path}"));\nmodule.exports = { ${getters.join(", ")} };`,
        loader: "js",
        resolveDir: root,
      };
    });
  },
};
