/**
 * regexp: and pcre: tables against Debian's postmap: the same rules and keys
 * give the same values. Each rule is a table of its own, and each key is asked of all of them.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { postmap } from "../../src/cli/postmap.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { lacking } from "../lab/needs.ts";

const missing = ["/usr/sbin/postmap", "/usr/lib/postfix/postfix-pcre.so"].filter((path) => !existsSync(path));
const skip = missing.length > 0 ? lacking(`not installed: ${missing.join(" ")}`) : false;

const base = mkdtempSync(join(tmpdir(), "patterns-"));
after(() => rmSync(base, { recursive: true, force: true }));
const conf = join(base, "conf");
mkdirSync(conf);
writeFileSync(join(conf, "main.cf"), "compatibility_level = 3.6\nmyhostname = mail.example.test\n");

let made = 0;

interface Outcome {
  readonly out: string;
  readonly err: string;
}

function debian(type: string, rules: string, keys: readonly string[]): Outcome {
  const path = join(base, `t${made++}`);
  writeFileSync(path, rules, "latin1");
  const input = Buffer.from(`${keys.join("\n")}\n`, "latin1");
  const { stdout, stderr } = spawnSync("/usr/sbin/postmap", ["-u", "-c", conf, "-q", "-", `${type}:${path}`], {
    input,
  });
  return { out: stdout.toString("latin1"), err: stderr.toString("latin1").replaceAll(path, "T") };
}

async function ours(type: string, rules: string, keys: readonly string[]): Promise<Outcome> {
  const path = join(base, `t${made++}`);
  writeFileSync(path, rules, "latin1");
  const input = Buffer.from(`${keys.join("\n")}\n`, "latin1");
  const io = testIo({ runtime: realRuntime(), args0: "postmap", directory: conf, input: [input] });
  await postmap(["-u", "-c", conf, "-q", "-", `${type}:${path}`], io);
  const { out, err } = io.written();
  return { out: Buffer.from(out).toString("latin1"), err: err.replaceAll(path, "T") };
}

const keys = [
  ..."a A b ab abc AbC aab xabcy aaa aaaa 123 user@example.com User+tag@Sub.Example.COM foo.bar foo-bar foo_bar".split(
    " ",
  ),
  ...'[1.2.3.4] Subject:x-y {a} a{,3} a|b (x) x) $1 a\\b ^a a$ abab foofoo foo/bar / é É \xa0x ]a a]b -a a- "q"'.split(
    " ",
  ),
  "Subject: Viagra now",
  "Received: from x by y",
  'From: "A B" <a@b.example>',
  "two words here",
  "tab\there",
  "foo bar",
  " lead",
  "trail ",
  "aXbXc",
  "barfoo",
  "abcd",
];

/** Rules that both types read. */
const both = [
  "/^a/ x",
  "/a$/ x",
  "/^abc$/ x",
  "/^ABC$/i x",
  "/abc/i x",
  "!/a/ no a",
  "!!/a/ a",
  "! /a/ x",
  "/a|b/ x",
  "/^(a|ab)(c|bcd)?/ $1-$2",
  "/^(.*)@(.*)$/ $2=$1",
  "/^([^@+]+)(\\+[^@]*)?@(.+)/ ${1}@$(3)",
  "/(a+)(b*)/ <$1><$2>",
  "/(foo|foobar)(bar)?/ $1,$2",
  "/a{2}/ x",
  "/^a{2,}$/ x",
  "/^a{1,2}$/ x",
  "/[[:digit:]]+/ digits",
  "/([[:alpha:]]+)[[:space:]]+([[:alpha:]]+)/ $2 $1",
  "/[^a-z]/ x",
  "/[^a-z]/i x",
  "/[]a]/ x",
  "/[^]a]/ x",
  "/[a-]/ x",
  "/\\./ dot",
  "/foo\\/bar/ slash",
  "#foo/bar# comment\n|foo/bar| bars",
  "~foo/bar~ tilde",
  "/^$/ empty",
  "/a.c/ x",
  "/(x)?/ [$1]",
  "/a/ $$1 costs",
  "/a/ pre${1}",
  "/(a)/ $2",
  "/(a)/ $0",
  "/(a)/ $x",
  "/(a)/ ${1",
  "/(a)/ $ 1",
  "/(a)/ $(1",
  "/(a)/ x$",
  "!/(a)/ $1",
  "/(a)/ ${1}${1}b$1",
  "/a/",
  "/a",
  "/a/Q x",
  "word x",
  "if /a/\n/b/ ab\nendif\n/a/ a",
  "if !/a/\n/b/ b without a\nENDIF",
  "IF /a/i\nIF /b/\n/c/ abc\nENDIF\n/a/ a\nendif\n/./ rest",
  "if /a/\n/b/ x",
  "endif\n/a/ x",
  "if /a/ extra\n/b/ x\nendif extra",
  "/^Subject: .*viagra/ REJECT no\n  thanks",
  "/^from: .*<(.*)>/ $1",
  "/\\bfoo\\b/ word",
  "/\\Bfoo/ inside",
  "/\\w+@\\w+\\.\\w+/ address",
  "/\\s/ space",
  "/\\S\\W\\S/ x",
  "/(a)\\1/ twice",
  "/^(.+)\\1$/ $1$1",
  "/(a|b)*c/ $1",
  "/()/ [$1]",
  "/a**/ x",
  "/(/ x\n/b/ y",
  "/[a/ x\n/b/ y",
  "/[[:nosuch:]]/ x\n/b/ y",
  "/[z-a]/ x\n/b/ y",
  "/*a/ x\n/b/ y",
  "/a{2,1}/ x\n/b/ y",
  "/^*a/ x\n/b/ y",
  "/a\\b+/ x\n/b/ y",
  "/a$?/ x\n/b/ y",
  "/\\(x\\)/ parens",
  "/\\[.*\\]/ brackets",
  "/\\$/ dollar",
  "/\\^/ caret",
  "/x\\)/ paren",
  "/\xe9/ byte",
  "/[\xc0-\xff]/ high",
  "/(a)(b)(c)(d)?/ $4$3$2$1",
];

const posix = [
  "/a/!/b/ a without b",
  "!/a/!/b/ neither",
  "/a/ !/b/ x",
  "/\\(a\\)\\{1,2\\}b/x $1",
  "/a\\|b/x alt",
  "/*a/x star",
  "/a*/x x",
  "/^*a/x x",
  "/a^/x x",
  "/a$b/x x",
  "/\\(^a\\)/x x",
  "/a\\+/x plus",
  "/(x)/x literal parens",
  "/a{,3}/ x",
  "/x)/ x",
  "/[[.a.]]/ x",
  "/[[=a=]]/ x",
  "/[a\\]/ x\n/\\\\/ y",
  "/\\<foo\\>/ word",
  "/foo\\>/ word",
  "/\\`a/ x",
  "/a\\'/ x",
  "/(a|ab)(c|bcd)(d*)/ $1,$2,$3",
  "/x*/ any",
  "/a{1/ x\n/b/ y",
  "/a{x/ x\n/b/ y",
  "/^abc$/m x",
  "/[^x]/m x",
];

const perl = [
  "/^(?=.*b)a/ ahead",
  "/^(?!.*b)a/ not ahead",
  "/(?<=foo)bar/ behind",
  "/(?<!foo)bar/ not behind",
  "/(?:a|b)c/ x",
  "/a+?(a*)/ $1",
  "/(a+)(a*)/U $1-$2",
  "/(a++)b/ $1",
  "/(?>a+)b/ x",
  "/a++a/ never",
  "/(?<first>a)(?P<second>b)/ $2$1",
  "/(?<x>a)\\k<x>/ x",
  "/(?P<x>a)(?P=x)/ x",
  "/(a)\\g1/ x",
  "/(a)\\g{-1}/ x",
  "/\\d+/ digits",
  "/\\h/ blank",
  "/\\H\\h\\H/ x",
  "/\\Aa/ x",
  "/c\\z/ x",
  "/c\\Z/ x",
  "/\\x61/ x",
  "/\\x{61}b/ x",
  "/\\Qa{,3}\\E/ quoted",
  "/a b/x joined",
  "/a # comment/x x",
  "/a/A anchored",
  "/b/A anchored",
  "/a$/E x",
  "/(?i)ABC/ x",
  "/(?-i)ABC/ x",
  "/(?-i:A)bc/ x",
  "/a(?#comment)b/ x",
  "/\\t/ tab",
  "/[\\d.]+/ x",
  "/[\\w-]+$/ x",
  "/[[:^alpha:]]/ x",
  "/\\xe9/ byte",
  "/a{,3}/ x",
  "/a{x/ x",
  "/{a}/ x",
  "/x)/ x\n/b/ y",
  "/a/X x",
  "/\\N+/s x",
  "/.a/s x",
  "/^a/m x",
  "/\\R/ x",
  "/(a|ab)(c|bcd)(d*)/ $1,$2,$3",
  "/[a\\]]/ x",
  "/\\_/ x",
  "/]/ x",
];

describe("patterns", { skip, concurrency: 4 }, () => {
  for (const [type, rules] of [
    ["regexp", [...both, ...posix]],
    ["pcre", [...both, ...perl]],
  ] as const) {
    for (const rule of rules) {
      it(`${type}: ${JSON.stringify(rule)} answers as Debian's postmap does`, async () => {
        const got = await ours(type, `${rule}\n`, keys);
        const wanted = debian(type, `${rule}\n`, keys);
        assert.equal(got.out, wanted.out);
        if (!/error in regex|Success|Invalid|Unmatched/.test(wanted.err)) assert.equal(got.err, wanted.err);
        else assert.match(got.err, /line \d+: /);
      });
    }
  }
});
