import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newaliases, postalias } from "../../src/cli/postalias.ts";
import { postmap } from "../../src/cli/postmap.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { realRuntime } from "../../src/runtime/real.ts";

/** What a run of postmap or postalias did. Bytes are characters of Latin 1. */
export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

type Files = Readonly<Record<string, string | Buffer>>;
type Run<Program> = (
  program: Program,
  directory: string,
  args: readonly string[],
  input?: string | Buffer,
) => Promise<Outcome>;

/** Where Debian's postmap and ours do the same with the same files. */
export interface PostmapLab {
  /** The configuration directory. */
  readonly conf: string;
  /** A new directory with these files. */
  place(files: Files): string;
  /** Puts a file there, as written long ago, so that nobody waits for it to settle. */
  write(directory: string, name: string, contents: string | Buffer): void;
  /** Runs Debian's; what it says is shown without the directory's name. */
  readonly debian: Run<"postmap" | "postalias">;
  /** Runs ours, in this process. */
  readonly ours: Run<"postmap" | "postalias" | "newaliases">;
  remove(): void;
}

const programs = { postmap, postalias, newaliases };

export function postmapLab(name: string, mainCf: string = ""): PostmapLab {
  const base = mkdtempSync(join(tmpdir(), `${name}-`));
  chmodSync(base, 0o755);
  const conf = join(base, "conf");
  mkdirSync(conf);
  let made = 0;
  const write: PostmapLab["write"] = (directory, file, contents) => {
    writeFileSync(join(directory, file), contents);
    utimesSync(join(directory, file), 1e9, 1e9);
  };
  write(
    conf,
    "main.cf",
    `compatibility_level = 3.6\nmyhostname = mail.example.test\nqueue_directory = /var/spool/postfix\n${mainCf}`,
  );
  const runtime = realRuntime();
  return {
    conf,
    write,
    place(files) {
      const directory = join(base, String(made++));
      mkdirSync(directory);
      for (const [file, contents] of Object.entries(files)) write(directory, file, contents);
      return directory;
    },
    async debian(program, directory, args, input = "") {
      const child = spawn(`/usr/sbin/${program}`, ["-c", conf, ...args]);
      const [out, err]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on("data", (bytes: Buffer) => out.push(bytes));
      child.stderr.on("data", (bytes: Buffer) => err.push(bytes));
      child.stdin.on("error", () => {});
      child.stdin.end(input);
      const status = await new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
      return { status, out: plain(Buffer.concat(out), directory), err: plain(Buffer.concat(err), directory) };
    },
    async ours(program, directory, args, input = "") {
      const io = testIo({ runtime, args0: program, directory: conf, input: [input] });
      const status = await programs[program](["-c", conf, ...args], io);
      const { out, err } = io.written();
      return { status, out: plain(out, directory), err: plain(Buffer.from(err), directory) };
    },
    remove: () => rmSync(base, { recursive: true, force: true }),
  };
}

/** Paths are shown without the directory, which differs. */
const plain = (text: string | Buffer, directory: string): string =>
  text.toString("latin1").replaceAll(`${directory}/`, "");
