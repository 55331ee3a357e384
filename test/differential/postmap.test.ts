/**
 * postmap and postalias against Debian's own, both ways: the same sources and
 * command lines give the same output, warnings and exit status, each reads
 * what the other wrote, and Berkeley DB's tools find nothing wrong with our files.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { HashFile } from "../../src/table/berkeley/hash-reader.ts";
import { needs } from "../lab/needs.ts";
import { postmapLab } from "../lab/postmap.ts";

const able = needs({
  programs: ["/usr/sbin/postmap", "/usr/sbin/postalias", "/usr/bin/db_verify", "/usr/bin/db_load", "/usr/bin/db_dump"],
});

const lab = postmapLab("postmap");
const { place, write, debian, ours } = lab;
after(() => lab.remove());

const sorted = (text: string): string => text.split("\n").sort().join("\n");
/** Without showing megabytes when they differ. */
const same = (got: string, wanted: string) =>
  assert.ok(got === wanted, `${got.length} characters instead of ${wanted.length}, or others`);
const verified = (file: string) => execFileSync("/usr/bin/db_verify", ["-q", file]);

/** What Debian's db_dump says is in a file. */
function dumped(file: string): string {
  const text = execFileSync("/usr/bin/db_dump", [file], { maxBuffer: 2 ** 28 }).toString();
  const lines = text.slice(text.indexOf("HEADER=END")).split("\n").slice(1, -2);
  const pairs: string[] = [];
  for (let at = 0; at < lines.length; at += 2) pairs.push(`${lines[at]}${lines[at + 1]}`);
  return pairs.sort().join("\n");
}

const many = Array.from({ length: 100_000 }, (_, n) => `user${n}@example${n % 97}.com value ${n}\n`).join("");
const large = [100, 1022, 1023, 1024, 1025, 4069, 4070, 5000, 20_000]
  .map((n) => `${"k".repeat(n)}${n} ${"v".repeat(n)}\n${n}x ${"w".repeat(n)}\n`)
  .join("");
const mixed =
  'a 1\nB two words  here\n# c\n  \nlonger\n  cont  inued\n"q q" v\n"unb v\nnoval\nk: alias\na dup\nGRÜSSE ü\nΟΔΟΣ s\n';

const sources: Readonly<Record<string, string | Buffer>> = {
  "one entry": "mail.my-isp.org      test:testpass\n",
  nothing: "",
  "all kinds of lines": mixed,
  "line ends of Windows": "a b\r\nc d\r\n e\r\n",
  NULs: "n\0ul val\nb\0 c\nd e\0f\n  g\n",
  "white space first": " lead x\nk v\n",
  "bytes that are not UTF-8": Buffer.from("caf\xe9 x\nok y\nGR\xc3\x9cSSE z\nx caf\xe9\n", "latin1"),
  "keys that come twice": "a 1\na 2\nA 3\n",
  "large items": large,
  "100,000 entries": many,
};

describe("an index", able, () => {
  for (const [name, source] of Object.entries(sources)) {
    for (const flags of [[], ["-n"], ["-N"], ["-f"], ["-u"], ["-r"], ["-w"]]) {
      if (flags.length > 0 && Buffer.from(source).length > 100_000) continue;
      it(`of ${name} ${flags.join(" ")} holds what Debian's holds, and is sound`, async () => {
        const directory = place({ ours: source, theirs: source });
        const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
        const got = await ours("postmap", directory, [...flags, mine]);
        const wanted = await debian("postmap", directory, [...flags, debians]);
        assert.deepEqual(got, { ...wanted, err: wanted.err.replaceAll("theirs", "ours") });
        verified(`${mine}.db`);
        same(dumped(`${mine}.db`), dumped(`${debians}.db`));
        same(
          (await ours("postmap", directory, ["-s", mine])).out,
          (await debian("postmap", directory, ["-s", mine])).out,
        );
        same(
          (await ours("postmap", directory, ["-s", debians])).out,
          (await debian("postmap", directory, ["-s", debians])).out,
        );
      });
    }
  }

  it("of 100,000 entries answers Debian's postmap, and Debian's answers ours", async () => {
    const directory = place({ ours: many, theirs: many });
    const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
    const keys = Array.from({ length: 110_000 }, (_, n) => `User${n}@example${n % 97}.com\n`).join("");
    await ours("postmap", directory, [mine]);
    await debian("postmap", directory, [debians]);
    const wanted = await debian("postmap", directory, ["-q", "-", mine], keys);
    assert.equal(wanted.out.split("\n").length, 100_001);
    same((await ours("postmap", directory, ["-q", "-", mine], keys)).out, wanted.out);
    same((await ours("postmap", directory, ["-q", "-", debians], keys)).out, wanted.out);
  });

  it("grows and shrinks under Debian's hands as well as under ours", async () => {
    const half = Array.from({ length: 3000 }, (_, n) => `user${n} value ${n}\n`).join("");
    const rest = Array.from({ length: 6000 }, (_, n) => `user${n + 2000} other ${n}\n`).join("") + large;
    const gone = Array.from({ length: 500 }, (_, n) => `user${n * 7}\n`).join("");
    const directory = place({ ours: half, theirs: half });
    const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
    await ours("postmap", directory, [mine]);
    await debian("postmap", directory, [debians]);
    assert.equal((await debian("postmap", directory, ["-ir", mine], rest)).status, 0);
    assert.equal((await ours("postmap", directory, ["-ir", debians], rest)).status, 0);
    verified(`${mine}.db`);
    verified(`${debians}.db`);
    assert.equal(dumped(`${mine}.db`), dumped(`${debians}.db`));
    assert.equal((await debian("postmap", directory, ["-d", "-", mine], gone)).status, 0);
    assert.equal((await ours("postmap", directory, ["-d", "-", debians], gone)).status, 0);
    verified(`${mine}.db`);
    verified(`${debians}.db`);
    assert.equal(dumped(`${mine}.db`), dumped(`${debians}.db`));
    assert.equal(
      sorted((await ours("postmap", directory, ["-s", mine])).out),
      sorted((await debian("postmap", directory, ["-s", debians])).out),
    );
  });

  for (const settings of [
    ["db_lorder=4321"],
    ["db_pagesize=512"],
    ["db_pagesize=65536", "db_lorder=4321"],
    ["h_ffactor=8"],
  ]) {
    it(`that Berkeley DB made with ${settings.join(" ")} is read`, async () => {
      const directory = place({ source: many.slice(0, 200_000).replace(/[^\n]*$/, "") + large });
      const [source, foreign] = [join(directory, "source"), join(directory, "foreign.db")];
      await ours("postmap", directory, [source]);
      const dump = execFileSync("/usr/bin/db_dump", [`${source}.db`], { maxBuffer: 2 ** 28 });
      const options = settings.flatMap((setting) => ["-c", setting]);
      const body = dump.toString().replace(/^db_pagesize=.*\n/m, "");
      execFileSync("/usr/bin/db_load", [...options, "-t", "hash", foreign], { input: body });
      const file = new HashFile(readFileSync(foreign));
      let count = 0;
      for (const [key, value] of new HashFile(readFileSync(`${source}.db`)).entries()) {
        assert.deepEqual(file.find(key), value);
        count++;
      }
      assert.equal([...file.entries()].length, count);
    });
  }

  it("takes its permissions from the source, and its owner where we are root", needs({ root: true }), async () => {
    for (const mode of [0o600, 0o640, 0o644, 0o400, 0o755, 0o660, 0o666]) {
      for (const flags of [[], ["-p"]]) {
        const directory = place({ ours: "a 1\n", theirs: "a 1\n" });
        for (const path of [directory, join(directory, "ours"), join(directory, "theirs")])
          chownSync(path, 65534, 65534);
        for (const name of ["ours", "theirs"]) chmodSync(join(directory, name), mode);
        await ours("postmap", directory, [...flags, join(directory, "ours")]);
        await debian("postmap", directory, [...flags, join(directory, "theirs")]);
        const [mine, debians] = [statSync(join(directory, "ours.db")), statSync(join(directory, "theirs.db"))];
        assert.deepEqual([mine.mode, mine.uid, mine.gid], [debians.mode, debians.uid, debians.gid]);
      }
    }
  });
});

interface Case {
  readonly args: readonly string[];
  readonly input?: string | Buffer;
  /** Why the two differ in what they say. Status and output must not. */
  readonly saysOtherwise?: string;
  /** Lines of output come in another order. */
  readonly unordered?: boolean;
}

const message =
  'From: a\nSubject: x\n folded\nContent-Type: multipart/mixed; boundary="b b"\n\npre\n--b b\nX-A : 1\n\nbody\n' +
  "--b b\nContent-Type: message/rfc822\n\nSubject: inner\n\nibody\n--b b--\nepi\nFrom: y\n";

const networks = `# comment
1.2.3.4/32 one address
1.2.9.0/24	a  network
if 10.0.0.0/8
10.0.0.1 inside
IF !10.1.0.0/16
10.200.0.0/16 nested
ENDIF
endif
!9.9.0.0/16 negated
[2001:db8::/32] six
[2001:db8:1::]/48 never
::1 loopback
1.2.3.4/8 bits
2001:db8::1/32 bits of six
1.2.3/24 x
300.1.1.1 x
1.2.3.4/33 x
1.2.3.4/ab x
1.2.3.4/ x
[1.2.3.4 x
[1.2.3.4]x y
if
endif garbage
endif
5.5.5.5
! 6.6.6.6 spaced
!!7.7.7.7 twice
ifx y
if 8.8.8.8
8.8.8.8 open
`;

const known = "names the types that there are, not a package of Debian's";
const commands: readonly Case[] = [
  { args: ["-q", "a", "T"] },
  { args: ["-q", "A", "hash:T"] },
  { args: ["-f", "-q", "A", "T"] },
  { args: ["-q", "nope", "T"] },
  { args: ["-q", "grüsse", "T"] },
  { args: ["-uq", "grüsse", "T"] },
  { args: ["-q", "b", "nosuch", "T"] },
  { args: ["-q", "b", "T", "nosuch"] },
  { args: ["-q", "-", "T"], input: 'a\nB\nnope\n"q q"\n\nlast' },
  { args: ["-q", "-", "T", "nosuch"], input: "nope\na\n" },
  { args: ["-q", "-", "T"], input: Buffer.from("caf\xe9\na\n", "latin1") },
  { args: ["-q", "-", "T", "static:other"], input: "a\nzzz\n" },
  { args: ["-s", "T"] },
  { args: ["-d", "nope", "T"] },
  { args: ["-d", "A", "T"] },
  { args: ["-d", "-", "T"], input: "b\nzip\n" },
  { args: ["-i", "T"], input: "new 1\nlonger repl\nbad\n" },
  { args: ["-ir", "T"], input: "new 1\nlonger repl\n" },
  { args: ["-iw", "T"], input: "new 1\nlonger repl\n" },
  { args: ["-i", "fresh"], input: "new 1\n" },
  { args: ["nosuch"] },
  { args: ["nosuchtype:T"], saysOtherwise: known },
  { args: ["-q", "a", "nosuchtype:T"], saysOtherwise: known },
  { args: ["texthash:T"] },
  { args: ["static:T"] },
  { args: ["-q", "a", "texthash:T"] },
  { args: ["-r", "-q", "a", "texthash:T"] },
  { args: ["-w", "-q", "a", "texthash:T"] },
  { args: ["-s", "texthash:T"], unordered: true },
  { args: ["-q", "a", "inline:{a=1}"] },
  { args: ["-s", "inline:{a=1, b=2}"], unordered: true },
  { args: ["-q", "k", "inline:{ {k = v w}, {x = y} }"] },
  { args: ["-q", "k", "inline:{ {k = v w}, {K = y} }"] },
  { args: ["-q", "k", "inline:{k}"] },
  { args: ["-q", "k", "inline:k=v"] },
  { args: ["-q", "k", "inline:{}"] },
  { args: ["-q", "k", "inline:{ {k = v }"] },
  { args: ["-q", "k", "inline:{k=}"] },
  { args: ["-q", "x", "static:hello"] },
  { args: ["-q", "x", "static:{ hello world }"] },
  { args: ["-q", "x", "static:{ hello"] },
  { args: ["-s", "static:x"] },
  { args: ["-d", "a", "static:x"] },
  { args: ["-d", "a", "texthash:T"] },
  { args: ["-d", "a", "hash:nosuch"] },
  { args: ["-q", "a", "hash:"] },
  { args: ["-q", "a", ":T"] },
  { args: [] },
  { args: ["-q", "a"] },
  { args: ["-s"] },
  { args: ["-Z", "T"] },
  { args: ["-q"] },
  { args: ["-s", "-q", "a", "T"] },
  { args: ["-q", "a", "-s", "T"] },
  { args: ["-b", "T"] },
  { args: ["-q", "a", "-h", "T"] },
  { args: ["-m", "-q", "-", "T"], input: "a\n" },
  ...["-h", "-b", "-hm", "-bm", "-hb", "-hbm", "-hU"].map((flags) => ({
    args: [flags, "-q", "-", "static:X"],
    input: message,
  })),
  ...["garbage\nX: y\n", "A: y\ngarbage\nX: y\n\nz", "A: b"].map((input) => ({
    args: ["-hb", "-q", "-", "static:X"],
    input,
  })),
  ...["1.2.3.4", "1.2.9.9", "9.9.9.9", "10.0.0.1", "10.1.0.1", "2001:db8::1", "::1", "nonsense", "1.2.3.4 "].map(
    (key) => ({
      args: ["-q", key, "cidr:C"],
    }),
  ),
  { args: ["-q", "-", "cidr:C"], input: "1.2.3.4\n9.8.7.6\n10.0.0.1\n10.200.0.1\n2001:db8:1::\nfe80::1\n" },
  { args: ["-q", "1.2.3.4", "cidr:{{1.2.3.0/24 a b}, {0/0 c}}"] },
  { args: ["-q", "a", "cidr:{{1.2.3.4 x}}"] },
  { args: ["-q", "1.2.3.4", "cidr:{1.2.3.4 x}"] },
  { args: ["-q", "1.2.3.4", "cidr:nosuch"] },
  { args: ["-s", "cidr:C"] },
  { args: ["-d", "1.2.3.4", "cidr:C"] },
  { args: ["cidr:C"] },
  { args: ["-F", "-q", "1.2.3.4", "cidr:C"], saysOtherwise: "the files are read after the rules" },
  { args: ["-q", "nosuchvariable", "environ:x"] },
  { args: ["-s", "environ:x"] },
  { args: ["-d", "a", "environ:x"] },
  { args: ["-q", "a", "fail:x"] },
  { args: ["-s", "fail:x"] },
  { args: ["-d", "a", "fail:x"] },
  { args: ["-q", "A", "randmap:{a}"] },
  { args: ["-q", "a", "randmap:{}"] },
  { args: ["-q", "a", "randmap:a"] },
  { args: ["-s", "randmap:{a}"] },
  { args: ["-d", "a", "randmap:{a}"] },
  { args: ["-q", "A", "unionmap:{inline:{a=1},static:b,inline:{c=2}}"] },
  { args: ["-q", "A", "unionmap:{static:b, inline:{ {a = 1, 2} }}"] },
  { args: ["-q", "C", "unionmap:{inline:{a=1}}"] },
  { args: ["-q", "C", "unionmap:{inline:{a=1},fail:x}"] },
  { args: ["-q", "a", "unionmap:{}"] },
  { args: ["-q", "a", "unionmap:{static:a,foo}"] },
  { args: ["-q", "a", "unionmap:static:a"] },
  { args: ["-s", "unionmap:{static:a}"] },
  { args: ["-d", "a", "unionmap:{static:a}"] },
  { args: ["-q", "A", "pipemap:{inline:{a=B},inline:{b=c}}"] },
  { args: ["-q", "a", "pipemap:{inline:{a=B},fail:x}"] },
  { args: ["-q", "z", "pipemap:{inline:{a=B},fail:x}"] },
  { args: ["-q", "a", "pipemap:{inline:{a=1.2.3.4},cidr:{{1.2.3.4 x}}}"] },
  { args: ["-q", "a", "pipemap:{}"] },
  { args: ["-F", "F"] },
  { args: ["-F", "-q", "k", "texthash:F"] },
  { args: ["-F", "-q", "a", "T"] },
];

describe("a command line", { ...able, concurrency: 8 }, () => {
  for (const { args, input, saysOtherwise, unordered } of commands) {
    it(`postmap ${args.join(" ")}`, async () => {
      const [mine, debians] = [place({ T: mixed, C: networks }), place({ T: mixed, C: networks })];
      for (const directory of [mine, debians]) {
        write(directory, "F", `k ${directory}/T, ${directory}/T\nbad ${directory}/nosuch\n`);
      }
      for (const directory of [mine, debians]) await debian("postmap", directory, [join(directory, "T")]);
      const named = (directory: string) =>
        args.map((arg) => arg.replace(/^(\w+:|)(C|T|F|fresh|nosuch)$/, `$1${directory}/$2`));
      const got = await ours("postmap", mine, named(mine), input);
      const wanted = await debian("postmap", debians, named(debians), input);
      const order = unordered ? sorted : (text: string) => text;
      assert.deepEqual({ ...got, err: "", out: order(got.out) }, { ...wanted, err: "", out: order(wanted.out) });
      if (!saysOtherwise) assert.equal(got.err, wanted.err);
      for (const name of ["T.db", "F.db", "fresh.db"]) {
        if (!existsSync(join(debians, name))) continue;
        assert.equal(dumped(join(mine, name)), dumped(join(debians, name)));
        verified(join(mine, name));
      }
    });
  }
});

const aliases = `# comment
root: admin@example.com, other
Postmaster: root
"quoted user": x, "a b"@c
list: :include:/etc/list
cmd: "|/usr/bin/foo bar", /var/file
 more@x
foo@bar: x
nocolon
emptyval:
a,b: c
"": none
com (comment) : target (another comment)
dup: 1
DUP: 2
sp ace: v
e: ""
grp: members: a, b;
ang: <a@b>, Some Name <c@d>
brk: [1.2.3.4]
back: a\\ b
un: "unterminated
p%q: z
esc: "a\\"b", c\\,d
`;

const withoutTime = (text: string): string => text.replace(/^(YP_LAST_MODIFIED:\t)\d{10}$/m, "$1TIME");

describe("an alias database", able, () => {
  it("holds what Debian's holds, Sendmail's and NIS's marks included, and both answer", async () => {
    const directory = place({ ours: aliases, theirs: aliases });
    const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
    const got = await ours("postalias", directory, [mine]);
    const wanted = await debian("postalias", directory, [debians]);
    assert.deepEqual(got, { ...wanted, err: wanted.err.replaceAll("theirs", "ours") });
    verified(`${mine}.db`);
    for (const path of [mine, debians]) {
      const listed = await debian("postalias", directory, ["-s", path]);
      assert.deepEqual(await ours("postalias", directory, ["-s", path]), listed);
      const args = ["-q", "-", path];
      assert.deepEqual(
        await ours("postalias", directory, args, "ROOT\nnope\ncmd\n"),
        await debian("postalias", directory, args, "ROOT\nnope\ncmd\n"),
      );
    }
    const all = async (path: string) => withoutTime(sorted((await debian("postalias", directory, ["-s", path])).out));
    assert.equal(await all(mine), await all(debians));
    assert.equal((await ours("postalias", directory, ["-i", mine], "new: a\n")).status, 0);
    assert.equal((await debian("postalias", directory, ["-i", debians], "new: a\n")).status, 0);
    assert.equal(await all(mine), await all(debians));
  });

  it("is made for each of alias_database by newaliases", async () => {
    const directory = place({ one: "a: b\n", two: "c: d\n" });
    write(directory, "main.cf", `alias_database = hash:${directory}/one, ${directory}/two\n`);
    const { status, err } = await ours("newaliases", directory, ["-c", directory]);
    assert.deepEqual({ status, err }, { status: 0, err: "" });
    assert.equal((await debian("postalias", directory, ["-q", "a", `${directory}/one`])).out, "b\n");
    assert.equal((await debian("postalias", directory, ["-q", "c", `${directory}/two`])).out, "d\n");
  });
});
