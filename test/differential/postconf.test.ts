/**
 * postconf against Debian's own, over the same files: standard output, exit
 * status and edited files equal, warnings the same set. (Debian's come in the
 * order of a randomised hash.)
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { postconf } from "../../src/cli/postconf.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { postfixParameters } from "../../src/conf/postfix-parameters.ts";
import { transportDefault } from "../../src/conf/transport-parameters.ts";
import { allParams } from "../../src/relay/params.ts";
import { randomBelow, seededRandom } from "../../src/runtime/random.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { type Case, cases, masterCf } from "./postconf-cases.ts";
import {
  type Draw,
  dependent,
  generateConditions,
  generateMaster,
  generateMistake,
  masterMistakes,
} from "./postconf-generated.ts";
import { masterCases } from "./postconf-master-cases.ts";

const debian = "/usr/sbin/postconf";
const skip = existsSync(debian) ? false : "Debian's postconf is not installed";

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: readonly string[];
}

const runtime = realRuntime();
const base = mkdtempSync(join(tmpdir(), "postconf-"));
after(() => rmSync(base, { recursive: true, force: true }));

let made = 0;

/** Two directories with the same files, old enough that Debian's does not wait for them to settle. */
function directories(main: string, master: string | undefined): { ours: string; theirs: string } {
  const name = join(base, String(made++));
  for (const each of ["ours", "theirs"]) {
    const directory = join(name, each);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "main.cf"), Buffer.from(main, "latin1"));
    if (master !== undefined) writeFileSync(join(directory, "master.cf"), Buffer.from(master, "latin1"));
    age(directory);
  }
  return { ours: join(name, "ours"), theirs: join(name, "theirs") };
}

function age(directory: string): void {
  for (const file of ["main.cf", "master.cf"]) {
    if (existsSync(join(directory, file))) utimesSync(join(directory, file), 1e9, 1e9);
  }
}

async function ours(directory: string, args: readonly string[]): Promise<Outcome> {
  const io = testIo({ runtime, args0: "postconf", directory: "/etc/postfix" });
  const status = await postconf(["-c", directory, ...args], io);
  const { out, err } = io.written();
  return outcome(status, out.toString("latin1"), err, directory);
}

/** Debian's sleeps for a second before it gives up: several run at once. */
async function theirs(directory: string, args: readonly string[]): Promise<Outcome> {
  const child = spawn(debian, ["-c", directory, ...args], {
    env: {},
    argv0: "postconf",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err, status] = await Promise.all([
    text(child.stdout, "latin1"),
    text(child.stderr, "utf8"),
    new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? -1))),
  ]);
  return outcome(status, out, err, directory);
}

async function text(stream: AsyncIterable<Buffer>, encoding: BufferEncoding): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString(encoding);
}

/** Once or a hundred times, and what Debian's says of a value that looks like a table to it. */
const guesses = /: unreasonable macro call nesting: |: main\.cf: syntax error after/;

function outcome(status: number, out: string, err: string, directory: string): Outcome {
  const neutral = (text: string) => text.replaceAll(directory, "DIR").replace(/^process_id = .*$/m, "process_id = 1");
  const lines = neutral(err).split("\n").filter(Boolean);
  return { status, out: neutral(out), err: [...new Set(lines.filter((line) => !guesses.test(line)))].sort() };
}

async function compare(each: Case, args: readonly string[]): Promise<void> {
  const both = directories(each.main, each.master ?? masterCf);
  const mine = await ours(both.ours, args);
  const debians = await theirs(both.theirs, args);
  const what = JSON.stringify(args);
  assert.equal(comparable(mine.out), comparable(debians.out), what);
  assert.equal(mine.status, debians.status, what);
  if (debians.status === 0) assert.deepEqual(mine.err, debians.err, what);
  else assert.equal(fatal(mine), fatal(debians), what);
  for (const name of ["main.cf", "master.cf"]) {
    const file = (directory: string) => readFileSync(join(directory, name), "latin1");
    assert.equal(file(both.ours), file(both.theirs), `${what}: ${name} afterwards`);
  }
}

/** Where a declared default is another text than that of Debian's postconf -d, and why. */
const differing: Readonly<Record<string, string>> = {
  lmtp_per_request_deadline: "a server that drips bytes does not hold a session",
  smtp_per_request_deadline: "a server that drips bytes does not hold a session",
  smtpd_forbid_bare_newline: "nobody smuggles a message by default, as since Postfix 3.9",
  smtpd_forbid_unauth_pipelining: "as since Postfix 3.9",
};

/** A list of all parameters without those that only Postern has, and those that differ on purpose. */
function comparable(out: string): string {
  const lines = out.split("\n");
  if (lines.length < 100) return out;
  return lines.filter((line) => isComparable(line.split(" =", 1)[0] ?? "")).join("\n");
}

function isComparable(name: string): boolean {
  if (Object.hasOwn(differing, name)) return false;
  return !Object.hasOwn(allParams, name) || postfixParameters().get(name)?.newer === false;
}

/** Why it gave up. Debian's says "dictionary mail_dict: …" or not, depending on which parameter it reads first. */
function fatal({ err }: Outcome): string | undefined {
  return err.find((line) => /: fatal: /.test(line))?.replace(/dictionary \w+: /, "");
}

describe("postconf prints and edits as Debian's does", { skip, concurrency: 4 }, () => {
  for (const each of [...cases, ...masterCases]) {
    it(each.name, async () => {
      await Promise.all((each.runs ?? [["-n"], ["-nx"]]).map((args) => compare(each, args)));
    });
  }

  it("the texts of notifications, in Debian's words", async () => {
    const main = "myhostname = h.example\ndelay_warning_time = 5h\nmaximal_queue_lifetime = 90m\n";
    const both = directories(main, masterCf);
    for (const args of [["-t"], ["-b"]]) {
      const [mine, debians] = [await ours(both.ours, args), await theirs(both.theirs, args)];
      // The last is for `sendmail -bv`, which answers at once here.
      const shared = debians.out.slice(0, debians.out.search(/\n\w*verify\w* = <<EOF/));
      assert.deepEqual({ ...mine, err: [] }, { ...debians, out: shared, err: [] });
    }
  });

  it("table types have Debian's names", async () => {
    const both = directories("", masterCf);
    const [mine, debians] = [await ours(both.ours, ["-m"]), await theirs(both.theirs, ["-m"])];
    const names = mine.out.split("\n");
    const loadable = ["ldap", "mysql", "pgsql", "sqlite", "dbm"];
    assert.ok(names.includes("hash"));
    assert.deepEqual(names, [...names.slice(0, -1).sort(), ""]);
    for (const name of names) assert.ok([...debians.out.split("\n"), ...loadable].includes(name), name);
  });

  it("a directory without main.cf, or without master.cf", async () => {
    const { ours: mine, theirs: debians } = directories("relayhost = x\n", undefined);
    const [one, other] = [await ours(mine, ["-n"]), await theirs(debians, ["-n"])];
    assert.deepEqual(one, other);
    rmSync(join(mine, "main.cf"));
    rmSync(join(debians, "main.cf"));
    for (const args of [["-n"], ["-e", "a=b"]]) {
      const [mineNow, debiansNow] = [await ours(mine, args), await theirs(debians, args)];
      assert.equal(mineNow.status, debiansNow.status);
      assert.deepEqual(mineNow.err, debiansNow.err);
    }
  });

  /** Each text with each of the runs, some at the same time. */
  async function compareAll(texts: readonly Omit<Case, "name">[], runs: readonly (readonly string[])[]): Promise<void> {
    const left = [...texts.entries()];
    const worker = async (): Promise<void> => {
      for (let next = left.shift(); next; next = left.shift()) {
        const [round, text] = next;
        for (const args of runs) {
          await compare({ name: "generated", ...text }, args).catch((error: unknown) => {
            throw new Error(`round ${round}:\n${text.main}\n${text.master ?? ""}`, { cause: error });
          });
        }
      }
    };
    await Promise.all(Array.from({ length: 4 }, worker));
  }

  const made = <T>(count: number, seed: number, make: (draw: Draw) => T): T[] => {
    const random = seededRandom(seed);
    return Array.from({ length: count }, () => make((below) => randomBelow(random, below)));
  };

  it("generated conditions at compatibility levels, 40 of a seed", async () => {
    const texts = made(40, 36, (draw) => ({ main: generateConditions(draw) }));
    await compareAll(texts, [["-n"], ["-nx"], ["-x", ...dependent]]);
  });

  it("generated mistakes, 24 of a seed", async () => {
    await compareAll(
      made(24, 37, (draw) => ({ main: generateMistake(draw) })),
      [["-nx"]],
    );
  });

  it("generated services, 40 of a seed", async () => {
    const texts = made(40, 38, (draw) => ({ main: "a = one\nb = $a\n", master: generateMaster(draw) }));
    await compareAll(texts, [["-M"], ["-Mf"], ["-F"], ["-P"], ["-Px"], ["-P", "smtp/inet/smtpd_banner=new"]]);
  });

  it("services with a mistake", async () => {
    await compareAll(
      masterMistakes.map((each) => ({ main: "", master: `# first\n${each}` })),
      [["-M"]],
    );
  });

  it("generated files, 60 of a seed", async () => {
    const seed = Number(process.env.SEED ?? 20);
    const random = seededRandom(seed);
    for (let round = 0; round < 60; round++) {
      const main = generate((below) => randomBelow(random, below));
      for (const args of [["-n"], ["-nx"], ["-e", "relayhost = [new]"]]) {
        await compare({ name: "generated", main }, args).catch((error) => {
          throw new Error(`seed ${seed}, round ${round}:\n${main}`, { cause: error });
        });
      }
    }
  });
});

const pieces = {
  names: [
    "relayhost",
    "smtpd_banner",
    "myhostname",
    "a",
    "b",
    "c",
    "mydestination",
    "syslog_name",
    "smtp_helo_name",
    "luser_relay",
  ],
  values: [
    "x",
    "",
    "$a",
    "${b}",
    "$(mail_name)",
    "$$",
    "${a?yes}",
    "${b:no}",
    "${c?{y}:{n}}",
    "${{$b} == {x} ? {1} : {2}}",
    "two  words",
    "${{3.10} >level {3.6}}",
    "${undefd}",
    "$mydomain",
    "#no comment",
    "tab\there",
  ],
  between: [
    "\n",
    "\n",
    "\n",
    "\n\n",
    "\n# comment\n",
    "\n  # indented comment\n",
    "\n   more\n",
    "\n\t$b\n",
    "\n#x\n  continued = after\n",
    "\n \n",
  ],
};

/** A main.cf made of pieces that each mean something to the parser. */
function generate(draw: Draw): string {
  const pick = <T>(list: readonly T[]): T => list[draw(list.length)] as T;
  let text = "";
  for (let entries = 1 + draw(8); entries > 0; entries--) {
    const values = Array.from({ length: 1 + draw(3) }, () => pick(pieces.values)).join(pick(["", " ", ", "]));
    text += `${pick(pieces.names)}${pick(["=", " = ", "\t=", "= "])}${values}${pick(pieces.between)}`;
  }
  // A value that refers to itself ends in Debian's only after many warnings: break the circles.
  return text
    .replace(/^a(\s*=).*$/gm, "a$1 one")
    .replace(/^b(\s*=).*$/gm, "b$1 $$a")
    .replace(/^c(\s*=).*$/gm, "c$1 ${b?$a}");
}

describe("the defaults of declared parameters are Debian's", { skip }, () => {
  it("postconf -d, name for name", async () => {
    const copy = directories("", readFileSync("/etc/postfix/master.cf", "latin1"));
    const [mine, debians] = [await ours(copy.ours, ["-d"]), await theirs(copy.theirs, ["-d"])];
    assert.deepEqual(comparable(mine.out).split("\n"), comparable(debians.out).split("\n"));
  });
});

describe("every parameter of Debian's has a standing", { skip }, () => {
  it("supported, inert or unsupported: none is unknown", async (t) => {
    const copy = directories("", readFileSync("/etc/postfix/master.cf", "latin1"));
    const { out } = await theirs(copy.theirs, ["-d"]);
    const names = [...out.matchAll(/^(\w+) = ?/gm)].map(([, name]) => name ?? "");
    const counts = { supported: 0, inert: 0, unsupported: 0 };
    const unknown: string[] = [];
    for (const name of names) {
      const standing = standingOf(name);
      if (standing) counts[standing]++;
      else unknown.push(name);
    }
    t.diagnostic(
      Object.entries(counts)
        .map(([standing, count]) => `${count} ${standing}`)
        .join(", "),
    );
    assert.deepEqual(unknown, []);
    assert.ok(names.length > 800, `${names.length} parameters`);
  });
});

/** What a configuration that sets it gets. One of a transport has the standing of the common one. */
function standingOf(name: string): "supported" | "inert" | "unsupported" | undefined {
  if (Object.hasOwn(allParams, name)) return "supported";
  const standing = postfixParameters().get(name)?.standing;
  if (standing !== undefined) return standing === "inert" ? "inert" : "unsupported";
  const common = transportDefault(name);
  if (common !== undefined) return standingOf(common.slice(1));
  return isGiven(name) ? "supported" : undefined;
}

/** Names that have a value of their own in each process. */
const isGiven = (name: string) => ["process_id", "process_name", "service_name"].includes(name);
