/**
 * The index files of types beside hash, against Debian's postmap and the tools of each format: each side reads what
 * the other wrote, what is in them is the same, and so are messages and exit statuses.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { needs } from "../lab/needs.ts";
import { postmapLab } from "../lab/postmap.ts";

/** A type, and what its own tools say of a file. */
interface Kind {
  readonly type: string;
  readonly suffix: string;
  readonly programs: readonly string[];
  /** The entries, one a line, sorted. Throws where the tool finds the file unsound. */
  dump(file: string): string;
  /** The same source gives the same bytes. */
  readonly identical?: boolean;
}

const tool = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { maxBuffer: 2 ** 28, stdio: ["ignore", "pipe", "pipe"] }).toString("latin1");
const sorted = (text: string): string => text.split("\n").sort().join("\n");

const kinds: readonly Kind[] = [
  {
    type: "cdb",
    suffix: ".cdb",
    programs: ["/usr/sbin/postmap", "/usr/bin/cdb"],
    dump: (file) => sorted(tool("/usr/bin/cdb", "-d", file)),
    identical: true,
  },
  {
    type: "btree",
    suffix: ".db",
    programs: ["/usr/sbin/postmap", "/usr/bin/db_verify", "/usr/bin/db_dump"],
    dump(file) {
      tool("/usr/bin/db_verify", "-q", file);
      const text = tool("/usr/bin/db_dump", file);
      return text.slice(text.indexOf("HEADER=END"));
    },
  },
  {
    type: "lmdb",
    suffix: ".lmdb",
    programs: ["/usr/sbin/postmap", "/usr/bin/mdb_dump", "/usr/bin/mdb_stat"],
    dump(file) {
      const text = tool("/usr/bin/mdb_dump", "-n", file);
      const lines = text.slice(text.indexOf("HEADER=END")).split("\n").slice(1, -2);
      assert.match(tool("/usr/bin/mdb_stat", "-n", file), new RegExp(`Entries: ${lines.length / 2}\\n`));
      return lines.map((line, at) => (at % 2 === 0 ? `${line}=${lines[at + 1]}` : "")).join("\n");
    },
  },
];

const lab = postmapLab("table-files");
const { place, write, debian, ours } = lab;
after(() => lab.remove());

/** Without showing megabytes when they differ. */
const same = (got: string, wanted: string) =>
  assert.ok(got === wanted, `${got.length} characters instead of ${wanted.length}, or others`);

const many = Array.from({ length: 30_000 }, (_, n) => `user${n}@example${n % 97}.com value ${n}\n`).join("");
const large = [100, 400, 504]
  .map((n) => `${"k".repeat(n)}${n} ${"v".repeat(n * 9)}\n${n}x ${"w".repeat(n * 20)}\n`)
  .join("");
const mixed =
  'a 1\nB two words  here\n# c\n  \nlonger\n  cont  inued\n"q q" v\nnoval\nk: alias\na dup\nGRÜSSE ü\nΟΔΟΣ s\n';
const sources: Readonly<Record<string, string>> = {
  "one entry": "mail.my-isp.org      test:testpass\n",
  nothing: "",
  "all kinds of lines": mixed,
  "keys that begin each other": Array.from({ length: 400 }, (_, n) => `${"ab".repeat(n)}x ${n}\n`)
    .slice(0, 250)
    .join(""),
  "large items": large,
  "wide items": Array.from({ length: 300 }, (_, n) => `${"k".repeat(n)}${n} ${"v".repeat(n * 7)}\n`).join(""),
  "30,000 entries": many,
};

describe("index files", { concurrency: 4 }, () => {
  for (const { type, suffix, programs: used, dump, identical } of kinds) {
    describe(`${type}:`, { ...needs({ programs: used }), concurrency: 8 }, () => {
      for (const [name, source] of Object.entries(sources)) {
        for (const flags of [[], ["-n"], ["-N"], ["-f"], ["-r"]]) {
          if (flags.length > 0 && source.length > 500_000) continue;
          it(`an index of ${name} ${flags.join(" ")} holds what Debian's holds, and each reads the other's`, async () => {
            const directory = place({ ours: source, theirs: source });
            const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
            const got = await ours("postmap", directory, [...flags, `${type}:${mine}`]);
            const wanted = await debian("postmap", directory, [...flags, `${type}:${debians}`]);
            assert.deepEqual(got, { ...wanted, err: wanted.err.replaceAll("theirs", "ours") });
            same(dump(mine + suffix), dump(debians + suffix));
            if (identical && !flags.includes("-r"))
              assert.ok(readFileSync(mine + suffix).equals(readFileSync(debians + suffix)));
            const keys = `${source.replace(/[ \t].*$/gm, "")}\nnone\n`.replace(/\n+/g, "\n").replace(/^\n/, "");
            const answers = await debian("postmap", directory, ["-q", "-", `${type}:${debians}`], keys);
            for (const path of [mine, debians]) {
              assert.deepEqual(await ours("postmap", directory, ["-q", "-", `${type}:${path}`], keys), {
                ...answers,
                err: answers.err.replaceAll("theirs", path === mine ? "ours" : "theirs"),
              });
            }
            same((await debian("postmap", directory, ["-q", "-", `${type}:${mine}`], keys)).out, answers.out);
            const list = ["-s", `${type}:${debians}`];
            assert.deepEqual(await ours("postmap", directory, list), await debian("postmap", directory, list));
          });
        }
      }

      const commands: readonly (readonly [args: readonly string[], input?: string])[] = [
        [["-q", "A", "X:T"]],
        [["-q", "nope", "X:T"]],
        [["-q", "a", "X:nosuch"]],
        [["-n", "-q", "a", "X:T"]],
        [["-N", "-q", "a", "X:T"]],
        [["-q", "-", "X:T"], "a\nB\nnope\nlonger\n"],
        [["-q", "-", "X:T"], "caf\xe9\n"],
        [["-s", "X:T"]],
        [["-s", "X:nosuch"]],
        [["-d", "A", "X:T"]],
        [["-d", "nope", "X:T"]],
        [["-d", "-", "X:T"], "b\nlonger\n"],
        [["-i", "X:T"], "new 1\nlonger repl\nbad\n"],
        [["-ir", "X:T"], "new 1\nlonger repl\n"],
        [["-iw", "X:T"], "new 1\nlonger repl\n"],
        [["-i", "X:fresh"], "new 1\n"],
        [["X:nosuch"]],
      ];
      for (const [args, input] of commands) {
        it(`postmap ${args.join(" ").replace("X:", `${type}:`)} says and does what Debian's does`, async () => {
          const [mine, debians] = [place({ T: mixed }), place({ T: mixed })];
          for (const directory of [mine, debians]) await debian("postmap", directory, [`${type}:${directory}/T`]);
          const named = (directory: string) => args.map((arg) => arg.replace("X:", `${type}:${directory}/`));
          assert.deepEqual(
            await ours("postmap", mine, named(mine), input),
            await debian("postmap", debians, named(debians), input),
          );
          for (const name of ["T", "fresh"]) {
            if (!existsSync(join(debians, name) + suffix)) continue;
            assert.equal(dump(join(mine, name) + suffix), dump(join(debians, name) + suffix));
          }
        });
      }

      if (!identical) {
        it("an index grows and shrinks under Debian's hands as well as under ours", async () => {
          const half = Array.from({ length: 3000 }, (_, n) => `user${n} value ${n}\n`).join("");
          const rest = Array.from({ length: 6000 }, (_, n) => `user${n + 2000} other ${n}\n`).join("") + large;
          const gone = Array.from({ length: 500 }, (_, n) => `user${n * 7}\n`).join("");
          const directory = place({ ours: half + large, theirs: half + large });
          const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
          await ours("postmap", directory, [`${type}:${mine}`]);
          await debian("postmap", directory, [`${type}:${debians}`]);
          assert.equal((await debian("postmap", directory, ["-ir", `${type}:${mine}`], rest)).status, 0);
          assert.equal((await ours("postmap", directory, ["-ir", `${type}:${debians}`], rest)).status, 0);
          same(dump(mine + suffix), dump(debians + suffix));
          assert.equal((await debian("postmap", directory, ["-d", "-", `${type}:${debians}`], gone)).status, 0);
          assert.equal((await ours("postmap", directory, ["-d", "-", `${type}:${mine}`], gone)).status, 0);
          same(dump(mine + suffix), dump(debians + suffix));
          const listed = await debian("postmap", directory, ["-s", `${type}:${debians}`]);
          assert.equal(listed.out.split("\n").length - 1, 8000 + 6 - 500);
          for (const path of [mine, debians])
            same((await ours("postmap", directory, ["-s", `${type}:${path}`])).out, listed.out);
        });
      }

      it("an alias database answers both, Sendmail's and NIS's marks included", async () => {
        const text = "root: admin@example.com, other\nPostmaster: root\nlist: :include:/etc/list\n";
        const directory = place({ ours: text, theirs: text });
        const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
        const got = await ours("postalias", directory, [`${type}:${mine}`]);
        assert.deepEqual(got, await debian("postalias", directory, [`${type}:${debians}`]));
        const withoutTime = (dumped: string): string => dumped.replaceAll(/\b1\d{9}\b|(3[0-9]){10}/g, "TIME");
        assert.equal(withoutTime(dump(mine + suffix)), withoutTime(dump(debians + suffix)));
        const asked = await debian("postalias", directory, ["-q", "postmaster", `${type}:${mine}`]);
        assert.deepEqual(asked, { status: 0, out: "root\n", err: "" });
      });

      it("is what postmap and postalias make where default_database_type says so", async () => {
        const directory = place({
          T: "a 1\n",
          aliases: "b: c\n",
          "main.cf": `default_database_type = ${type}\nmyhostname = mail.example.test\n`,
        });
        for (const [program, name] of [
          ["postmap", "T"],
          ["postalias", "aliases"],
        ] as const) {
          const got = await ours(program, directory, ["-c", directory, join(directory, name)]);
          assert.deepEqual(got, { status: 0, out: "", err: "" });
          assert.ok(dump(join(directory, name) + suffix).length > 0);
        }
      });

      it("takes permissions from the source, and its owner where we are root", needs({ root: true }), async () => {
        for (const mode of [0o600, 0o644, 0o660]) {
          const directory = place({ ours: "a 1\n", theirs: "a 1\n" });
          for (const path of [directory, join(directory, "ours"), join(directory, "theirs")])
            chownSync(path, 65534, 65534);
          for (const name of ["ours", "theirs"]) chmodSync(join(directory, name), mode);
          await ours("postmap", directory, [`${type}:${join(directory, "ours")}`]);
          await debian("postmap", directory, [`${type}:${join(directory, "theirs")}`]);
          const [mine, debians] = ["ours", "theirs"].map((name) => statSync(join(directory, name) + suffix));
          assert.deepEqual([mine?.mode, mine?.uid, mine?.gid], [debians?.mode, debians?.uid, debians?.gid]);
        }
      });
    });
  }

  describe("lmdb:", needs({ programs: ["/usr/sbin/postmap"] }), () => {
    it("a key of more than 511 bytes is refused as Debian refuses it, and the old index stays", async () => {
      const directory = place({ ours: "a 1\n", theirs: "a 1\n" });
      const [mine, debians] = [join(directory, "ours"), join(directory, "theirs")];
      await ours("postmap", directory, [`lmdb:${mine}`]);
      for (const length of [510, 511]) {
        for (const name of ["ours", "theirs"]) write(directory, name, `${"k".repeat(length)} v\n`);
        const got = await ours("postmap", directory, [`lmdb:${mine}`]);
        const wanted = await debian("postmap", directory, [`lmdb:${debians}`]);
        assert.deepEqual(got, { ...wanted, err: wanted.err.replace("theirs", "ours") });
        assert.equal(got.status, length - 510);
      }
      assert.match((await ours("postmap", directory, ["-s", `lmdb:${mine}`])).out, /^k{510}\tv\n$/);
    });
  });
});
