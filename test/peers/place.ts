import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "../lab/at-exit.ts";
import { lacking } from "../lab/needs.ts";

/** A directory of its own for a peer, which other accounts may pass through; removed by `remove`. */
export function makePlace(name: string): { readonly directory: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), `postern-${name}-`));
  chmodSync(directory, 0o755);
  const removeNow = (): void => rmSync(directory, { recursive: true, force: true });
  const keep = atExit(removeNow);
  const remove = (): void => {
    keep();
    removeNow();
  };
  return { directory, remove };
}

/** Why a peer cannot run here; undefined when it can. For `test(name, { skip }, …)`. With `CI=true` nothing may be missing: it throws. */
export function missing(...programs: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return lacking("needs root");
  const absent = programs.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  return absent.length > 0 ? lacking(`needs ${absent.join(", ")}`) : undefined;
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound ? bound.port : 0));
    });
  });
}

/** Another host of a network under test: how a command is run there. */
export interface OnHost {
  on(program: string, args: readonly string[]): { program: string; args: string[] };
}

/** Resolves once something listens there (on `host`, where one is given). Rejects, with what `log` gives, after a minute. */
export async function listening(
  at: { readonly port: number; readonly address?: string } | { readonly path: string },
  log: () => string,
  host?: OnHost,
): Promise<void> {
  for (let left = 1200; left > 0; left--) {
    if (host && "port" in at ? listensOn(host, at.address ?? "127.0.0.1", at.port) : await answers(at)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${JSON.stringify(at)}\n${log()}`);
}

function listensOn(host: OnHost, address: string, port: number): boolean {
  const { program, args } = host.on("ss", ["-Hltn", "src", `${address}:${port}`]);
  return spawnSync(program, args, { encoding: "utf8" }).stdout.includes("LISTEN");
}

function answers(at: { readonly port: number } | { readonly path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect("port" in at ? { host: "127.0.0.1", port: at.port } : { path: at.path });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}
