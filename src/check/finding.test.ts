import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { arranged, finding, fromProblems, statusOf } from "./finding.ts";
import { quoted, shellFor } from "./shell.ts";

test("every code that a finding can have is in docs/check.md, and no other", () => {
  const documented = readFileSync(resolve(import.meta.dirname, "../../docs/check.md"), "utf8");
  const table = documented.slice(documented.indexOf("## Findings"), documented.indexOf("## JSON"));
  const told = new Set(
    [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = ""]) =>
      [...cell.matchAll(/`([a-z0-9-]+)`/g)].map(([, code]) => code),
    ),
  );
  const used = new Set<string | undefined>();
  for (const name of readdirSync(import.meta.dirname).filter((each) => /^[^.]+\.ts$/.test(each))) {
    const text = readFileSync(join(import.meta.dirname, name), "utf8");
    for (const [, code] of text.matchAll(
      /(?:finding|fromProblems)\(\s*(?:"(?:error|warning|notice)"|severity),\s*"([a-z0-9-]+)"/g,
    ))
      used.add(code);
  }
  assert.ok(used.size > 30);
  assert.deepEqual(
    [...used].filter((code) => !told.has(code)),
    [],
  );
  assert.deepEqual(
    [...told].filter((code) => !used.has(code)),
    [],
  );
});

test("the gravest comes first, then the order of files and lines, and nothing twice", () => {
  const at = (line: number) => ({ file: "/main.cf", line });
  const given = [
    finding("notice", "a", "one", at(1)),
    finding("warning", "b", "two", at(9)),
    finding("warning", "b", "three", at(2)),
    finding("error", "c", "four"),
    finding("warning", "b", "two", at(9)),
    finding("warning", "b", "five"),
  ];
  assert.deepEqual(
    arranged(given).map(({ text }) => text),
    ["four", "three", "two", "five", "one"],
  );
});

test("the exit status is that of the gravest finding", () => {
  const warning = finding("warning", "b", "two");
  assert.equal(statusOf([]), 0);
  assert.equal(statusOf([finding("notice", "a", "one")]), 0);
  assert.equal(statusOf([warning]), 1);
  assert.equal(statusOf([warning, finding("error", "c", "three")]), 78);
});

test("a text that begins with its place is taken apart", () => {
  const [found] = fromProblems("error", "start", [
    { file: "", line: 0, text: "/etc/postfix/main.cf, line 7: mynetworks: no", remedy: "" },
  ]);
  assert.deepEqual([found?.file, found?.line, found?.text], ["/etc/postfix/main.cf", 7, "mynetworks: no"]);
});

test("commands survive the shell, whatever is in a value", () => {
  assert.equal(quoted("/etc/postfix/main.cf"), "/etc/postfix/main.cf");
  assert.equal(quoted("it's; rm -rf /"), `'it'\\''s; rm -rf /'`);
  assert.equal(quoted(""), "''");
  const shell = shellFor("/srv/my mail");
  assert.deepEqual(shell.set({ relayhost: "[a]:587", smtp_tls_CAfile: undefined }), [
    "postconf -c '/srv/my mail' -e 'relayhost = [a]:587'",
    "postconf -c '/srv/my mail' -X smtp_tls_CAfile",
  ]);
  assert.deepEqual(shellFor("/etc/postfix").set({ relayhost: "" }), ["postconf -e 'relayhost ='"]);
});
