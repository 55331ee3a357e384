import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "./at-exit.ts";

/**
 * Two hosts on a wire of their own: network namespaces, so that names, port 25
 * and addresses are as they would be between a server and its provider.
 * Needs root. What still runs in them when they are removed, or when this process ends, is killed.
 */
export interface Network {
  readonly client: Host;
  readonly provider: Host;
  remove(): void;
}

export interface Host {
  readonly address: string;
  /** A command line that runs another one on this host. */
  on(program: string, args: readonly string[]): { program: string; args: string[] };
  run(program: string, args: readonly string[], options?: RunOptions): Ran;
  start(program: string, args: readonly string[], options?: { env?: Record<string, string> }): ChildProcess;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  /** The account that it runs as; otherwise root. A program of this checkout runs whether that account may enter the checkout's directory or not. */
  readonly user?: string;
}

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const here = import.meta.dirname;
const clientAddress = "10.77.0.1";
const providerAddress = "10.77.0.2";
const runLimit_ms = 60_000;
const outputLimit_bytes = 64 * 1024 * 1024;

/**
 * `names` are served by a name server on the provider's host: an address, for MX "mx:preference:host", or "servfail".
 * The provider's host has the addresses `more`, too.
 */
export async function makeNetwork(
  names: Readonly<Record<string, string>>,
  { more = [] }: { readonly more?: readonly string[] } = {},
): Promise<Network> {
  const tag = `pt${process.pid.toString(36)}`;
  const [client, provider] = [`${tag}c`, `${tag}p`];
  const mountPoint = mkdtempSync(join(tmpdir(), "postern-checkout-"));
  chmodSync(mountPoint, 0o755);
  const removeBoth = (): void => {
    [client, provider].forEach(removeNamespace);
    rmdirSync(mountPoint);
  };
  const keep = atExit(removeBoth);
  const remove = (): void => {
    keep();
    removeBoth();
  };
  try {
    for (const name of [client, provider]) addNamespace(name);
    ip("link", "add", `${tag}0`, "netns", client, "type", "veth", "peer", "name", `${tag}1`, "netns", provider);
    wire(client, `${tag}0`, [clientAddress]);
    wire(provider, `${tag}1`, [providerAddress, ...more]);
    const hosts = {
      client: host(client, clientAddress, mountPoint),
      provider: host(provider, providerAddress, mountPoint),
    };
    const server = hosts.provider.start(process.execPath, [
      join(here, "name-server.ts"),
      providerAddress,
      JSON.stringify(names),
    ]);
    await new Promise<void>((resolve, reject) => {
      server.stdout?.once("data", () => resolve());
      server.once("exit", () => reject(new Error("the name server did not start")));
    });
    server.unref();
    server.stdout?.destroy();
    return { ...hosts, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function addNamespace(name: string): void {
  ip("netns", "add", name);
  mkdirSync(join("/etc/netns", name), { recursive: true });
  writeFileSync(
    join("/etc/netns", name, "resolv.conf"),
    `nameserver ${providerAddress}\noptions timeout:2 attempts:1\n`,
  );
  writeFileSync(join("/etc/netns", name, "hosts"), "127.0.0.1 localhost\n");
}

function wire(name: string, device: string, addresses: readonly string[]): void {
  for (const address of addresses) ip("-n", name, "addr", "add", `${address}/24`, "dev", device);
  ip("-n", name, "link", "set", device, "up");
  ip("-n", name, "link", "set", "lo", "up");
}

function removeNamespace(name: string): void {
  const { stdout } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
  for (const pid of (stdout ?? "").split("\n").filter((line) => line !== "")) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
  spawnSync("ip", ["netns", "del", name]);
  rmSync(join("/etc/netns", name), { recursive: true, force: true });
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
}

function host(name: string, address: string, mountPoint: string): Host {
  const on = (program: string, args: readonly string[]) => ({
    program: "ip",
    args: ["netns", "exec", name, program, ...args],
  });
  return {
    address,
    on,
    run: (program, args, options = {}) => run(on(...asUser(program, args, options.user, mountPoint)), options),
    start(program, args, options = {}) {
      const command = on(program, args);
      return spawn(command.program, command.args, {
        env: { ...process.env, ...options.env },
        stdio: ["ignore", "pipe", "inherit"],
      });
    },
  };
}

const checkout = join(here, "..", "..");

/**
 * A checkout in a directory of root's own is out of others' reach, so it is mounted where they reach it. Only
 * in the command's own mount namespace, which `ip netns exec` makes: nobody else sees it.
 */
function asUser(
  program: string,
  args: readonly string[],
  user: string | undefined,
  mountPoint: string,
): [string, string[]] {
  if (user === undefined) return [program, [...args]];
  const script = `mount --bind "$1" "$2" && user=$3 && shift 3 && exec setpriv --reuid="$user" --regid=nogroup --clear-groups -- "$@"`;
  const reachable = program.startsWith(checkout) ? mountPoint + program.slice(checkout.length) : program;
  return ["sh", ["-c", script, "sh", checkout, mountPoint, user, reachable, ...args]];
}

function run({ program, args }: { program: string; args: string[] }, options: RunOptions): Ran {
  const { status, stdout, stderr, error, signal } = spawnSync(program, args, {
    input: options.input ?? "",
    env: { ...process.env, ...options.env },
    encoding: "utf8",
    timeout: runLimit_ms,
    maxBuffer: outputLimit_bytes,
  });
  if (error) throw error;
  return { status: status ?? -1, stdout, stderr: signal ? `${stderr}killed by ${signal}` : stderr };
}
