import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { tableParameterNames } from "../../src/conf/dbms-parameters.ts";
import { postfixParameters } from "../../src/conf/postfix-parameters.ts";
import { transportParameters } from "../../src/conf/transport-parameters.ts";
import { allParams } from "../../src/relay/params.ts";
import { restrictionWords } from "../../src/smtpd/restrictions.ts";
import { lacking } from "../lab/needs.ts";
import { floors } from "./floors.ts";

/** The pages that people read do not drift away from what is there. */

const root = resolve(import.meta.dirname, "../..");

function pagesIn(directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? pagesIn(path) : path.endsWith(".md") ? [path] : [];
  });
}

const paths = ["README.md", "CHANGELOG.md", ...pagesIn("docs")];
const pages = paths.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

/** What `find` gives for each page, with the page's name. */
function found(find: (text: string, path: string) => readonly string[]): string[] {
  return pages.flatMap(({ path, text }) => find(text, path).map((each) => `${path}: ${each}`));
}

const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, first = ""]) => first);

test("every relative link leads somewhere", () => {
  const links = (text: string, path: string) =>
    matches(text, /\]\(([^)\s]+)\)/g)
      .filter((link) => !/^[a-z]+:/.test(link) && !link.startsWith("#"))
      .filter((link) => !existsSync(join(root, dirname(path), link.replace(/#.*/, ""))));
  assert.deepEqual(found(links), []);
});

test("every path of ours that a page names is there", () => {
  const missing = (text: string) =>
    matches(text, /`((?:src|test|bench|scripts|docs|bin)\/[\w./-]*)[^`]*`/g).filter(
      (path) => !existsSync(join(root, path)),
    );
  assert.deepEqual(found(missing), []);
});

test("every npm script that a page names is there", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const missing = (text: string) => matches(text, /npm run ([\w-]+)/g).filter((name) => scripts[name] === undefined);
  assert.deepEqual(found(missing), []);
});

/** The parameters in the files of tables that ask databases. */
const ofDatabases = tableParameterNames("sqlite:x pgsql:x mysql:x ldap:x memcache:x").map((name) => name.slice(2));

/** Words with an underscore between backticks that are no parameters: words of lists, files, fields of log lines. */
const otherWords = new Set<string>([
  ...restrictionWords,
  ...ofDatabases,
  "sasl_passwd",
  "conn_use",
  "people_hosts",
  "people_query",
  "no_header_body_checks",
]);

/** Of transports that any master.cf may have. */
const transportNames = new Set(transportParameters("relay", "smtp").map(([name]) => name));

const isKnown = (name: string): boolean =>
  Object.hasOwn(allParams, name) || postfixParameters().has(name) || otherWords.has(name) || transportNames.has(name);

test("every parameter that a page names is known", () => {
  const name = "[a-z0-9]+(?:_[A-Za-z0-9]+)+";
  const unknown = (text: string) =>
    [
      ...matches(text, new RegExp(`\`(${name})(?:\`| =)`, "g")),
      ...matches(text, new RegExp(`^ {4,}(${name}) =`, "gm")),
    ].filter((each) => !isKnown(each));
  assert.deepEqual(found(unknown), []);
});

test("the floors in docs/architecture.md are those that the layers test enforces", () => {
  const text = readFileSync(join(root, "docs/architecture.md"), "utf8");
  const rows = [...text.matchAll(/^\| ([\d.]+) \| `([\w-]+)` \|/gm)].map(([, floor, room]) => [room, Number(floor)]);
  assert.deepEqual(rows, Object.entries(floors));
});

test("each test that docs/security.md refers to is there", () => {
  const text = readFileSync(join(root, "docs/security.md"), "utf8");
  const references = [...text.matchAll(/^- `([^`]+)`: “([^”]+)”$/gm)];
  assert.ok(references.length > 30);
  const missing = references
    .filter(([, path = "", name = ""]) => !readFileSync(join(root, path), "utf8").includes(name))
    .map(([line]) => line);
  assert.deepEqual(missing, []);
});

test("decisions are numbered without a gap, and each has a title", () => {
  const files = readdirSync(join(root, "docs/decisions")).sort();
  assert.deepEqual(
    files.map((name) => Number(name.slice(0, 4))),
    files.map((_, index) => index + 1),
  );
  for (const name of files) assert.match(readFileSync(join(root, "docs/decisions", name), "utf8"), /^# .+\n/, name);
});

/** Built from pieces, or this file would contain them. */
const forbidden = new RegExp(
  [["", "work", ""].join("/"), `registry\\.${"npmjs"}`, `proxy\\.${"golang"}\\.org`, `\\bissue ${"#"}\\d*`].join("|"),
  "i",
);

test("nothing here speaks of the place where it was made", (context) => {
  const listed = spawnSync("git", ["-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    encoding: "utf8",
  });
  if (listed.status !== 0) return context.skip(lacking("no git checkout"));
  const wrong = listed.stdout
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(root, path)))
    .filter((path) => forbidden.test(readFileSync(join(root, path), "utf8")));
  assert.deepEqual(
    wrong.map((path) => relative(root, join(root, path))),
    [],
  );
});
