import { execFileSync, type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Two hosts on a wire of their own: network namespaces, so that names, port 25
 * and addresses are as they would be between a server and its provider.
 * Needs root.
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
  run(program: string, args: readonly string[], options?: { input?: string; env?: Record<string, string> }): Ran;
  start(program: string, args: readonly string[], options?: { env?: Record<string, string> }): ChildProcess;
}

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const here = import.meta.dirname;

/** `names` are served by a name server on the provider's host: an address, or for MX "mx:preference:host". */
export async function makeNetwork(names: Readonly<Record<string, string>>): Promise<Network> {
  const tag = `pt${process.pid.toString(36)}`;
  const [client, provider] = [`${tag}c`, `${tag}p`];
  const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
  for (const name of [client, provider]) {
    ip("netns", "add", name);
    mkdirSync(join("/etc/netns", name), { recursive: true });
    writeFileSync(join("/etc/netns", name, "resolv.conf"), "nameserver 10.77.0.2\noptions timeout:2 attempts:1\n");
    writeFileSync(join("/etc/netns", name, "hosts"), "127.0.0.1 localhost\n");
  }
  ip("link", "add", `${tag}0`, "netns", client, "type", "veth", "peer", "name", `${tag}1`, "netns", provider);
  for (const [name, device, address] of [
    [client, `${tag}0`, "10.77.0.1"],
    [provider, `${tag}1`, "10.77.0.2"],
  ] as const) {
    ip("-n", name, "addr", "add", `${address}/24`, "dev", device);
    ip("-n", name, "link", "set", device, "up");
    ip("-n", name, "link", "set", "lo", "up");
  }
  const hosts = { client: host(client, "10.77.0.1"), provider: host(provider, "10.77.0.2") };
  const server = hosts.provider.start(process.execPath, [join(here, "name-server.ts"), "10.77.0.2", JSON.stringify(names)]);
  await new Promise<void>((resolve, reject) => {
    server.stdout?.once("data", () => resolve());
    server.once("exit", () => reject(new Error("the name server did not start")));
  });
  return {
    ...hosts,
    remove() {
      server.kill("SIGKILL");
      for (const name of [client, provider]) {
        ip("netns", "del", name);
        rmSync(join("/etc/netns", name), { recursive: true, force: true });
      }
    },
  };
}

function host(name: string, address: string): Host {
  const on = (program: string, args: readonly string[]) => ({
    program: "ip",
    args: ["netns", "exec", name, program, ...args],
  });
  return {
    address,
    on,
    run(program, args, options = {}) {
      const command = on(program, args);
      try {
        const stdout = execFileSync(command.program, command.args, {
          input: options.input ?? "",
          env: { ...process.env, ...options.env },
          encoding: "utf8",
          stdio: "pipe",
        });
        return { status: 0, stdout, stderr: "" };
      } catch (error) {
        const failed = error as { status?: number; stdout?: string; stderr?: string };
        return { status: failed.status ?? -1, stdout: failed.stdout ?? "", stderr: failed.stderr ?? "" };
      }
    },
    start(program, args, options = {}) {
      const command = on(program, args);
      return spawn(command.program, command.args, {
        env: { ...process.env, ...options.env },
        stdio: ["ignore", "pipe", "inherit"],
      });
    },
  };
}
