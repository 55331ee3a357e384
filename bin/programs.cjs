// Loads a program from a build (scripts/build.ts), or from its sources where the build was made from other ones than are
// there now. Plain JavaScript, since it comes before everything else.
//
// A file of a build, DIRECTORY/NAME.program, is one so that its parts always belong together:
//   a line of JSON   node, source, source_bytes, hash, inputs (path, size, mtimeMs, ctimeMs, path, …)
//   source_bytes     a script of ASCII, which is a function like the one that Node wraps around a module
//   the rest         what V8 has compiled of it; where V8 does not want it, it compiles anew
"use strict";
const { existsSync, readFileSync, statSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { dirname, join } = require("node:path");
const { pathToFileURL } = require("node:url");
const { Script } = require("node:vm");

const root = dirname(__dirname);

/**
 * What the program exports, or a promise of it. `source` is its file below the root.
 * @param {string} directory
 * @param {string} name
 * @param {string} source
 */
exports.load = function load(directory, name, source) {
  const built = readBuilt(`${directory}/${name}.program`);
  return built ? run(directory, name, built) : import(pathToFileURL(join(root, source)).href);
};

/** A build of what is there now, or undefined. */
function readBuilt(path) {
  try {
    const bytes = readFileSync(path);
    const end = bytes.indexOf(10);
    const head = JSON.parse(bytes.latin1Slice(0, end));
    return isFresh(head) ? { bytes, begin: end + 1, end: end + 1 + head.source_bytes } : undefined;
  } catch {
    return undefined;
  }
}

function run(directory, name, { bytes, begin, end }) {
  const compiled = bytes.length > end;
  const script = new Script(bytes.latin1Slice(begin, end), {
    filename: `${directory}/${name}.program`,
    lineOffset: 1,
    ...(compiled ? { cachedData: bytes.subarray(end) } : {}),
  });
  if (!compiled && existsSync(`${directory}/unfinished`)) {
    // The build is being made: what has been compiled by the program's end is kept.
    process.once("exit", () => writeFileSync(`${directory}/${name}.compiled`, script.createCachedData()));
  }
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(`${directory}/${name}.cjs`), module, "", directory);
  return module.exports;
}

/** Sizes and times decide as long as they are what they were; where they differ (a checkout that was copied), contents do. */
function isFresh({ node, inputs, hash }) {
  return node === process.version && (isUntouched(inputs) || contentHash(paths(inputs)) === hash);
}

function isUntouched(inputs) {
  for (let at = 0; at < inputs.length; at += 4) {
    const { size, mtimeMs, ctimeMs } = statSync(`${root}/${inputs[at]}`);
    if (size !== inputs[at + 1] || mtimeMs !== inputs[at + 2] || ctimeMs !== inputs[at + 3]) return false;
  }
  return true;
}

const paths = (inputs) => inputs.filter((_each, index) => index % 4 === 0);

/**
 * Stands for the contents of files below the root.
 * @param {readonly string[]} files
 * @param {(file: string) => Buffer} read
 */
function contentHash(files, read = (file) => readFileSync(`${root}/${file}`)) {
  const hash = require("node:crypto").createHash("sha256");
  for (const file of files) {
    const bytes = read(file);
    hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

exports.contentHash = contentHash;
exports.isFresh = isFresh;
