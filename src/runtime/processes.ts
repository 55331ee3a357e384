import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";

export interface ChildExit {
  /** Exit status, or undefined when a signal ended it. */
  readonly status: number | undefined;
  readonly signal: string | undefined;
}

export interface Child {
  readonly pid: number;
  /** A message for the child's channel. One to a child that is gone is dropped. */
  send(message: unknown): void;
  kill(signal: NodeJS.Signals): void;
  /** Closes the channel and no longer waits for the child: it goes on by itself. */
  leave(): void;
  /** Resolves after the last message was told. */
  readonly exited: Promise<ChildExit>;
}

export interface SpawnOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Descriptors handed down, the first as number 4, the next as 5, and so on. 3 is the channel. */
  readonly descriptors?: readonly number[];
  /** Called with what the child sends over its channel. Without it there is no channel. */
  readonly message?: (message: unknown) => void;
  /** Text for standard input, which is then closed. Without it the child reads nothing. */
  readonly input?: string;
  /** Called with pieces of the child's standard output. Without it the child writes to ours. */
  readonly output?: (bytes: Buffer) => void;
  /** Neither standard output nor standard error is ours: a process that outlives us must not hold them open. */
  readonly quiet?: boolean;
  /** Where it runs; where we do unless given. */
  readonly directory?: string;
  /** Its own session: signals for our terminal's group do not reach it. */
  readonly detached?: boolean;
}

/** Our way to the process that started us, when it gave us a channel. */
export interface Parent {
  /** Resolves when the message is out of our hands; when the parent is gone, too. Await the last one before exiting: what still waits is lost. */
  send(message: unknown): Promise<void>;
  listen(message: (message: unknown) => void, gone: () => void): void;
}

/** Processes: this one, its parent, and those it starts. */
export interface Processes {
  readonly pid: number;
  /** The program that runs us, and its own options: with a script's path behind, it runs that script as we are run. */
  readonly self: { readonly program: string; readonly args: readonly string[] };
  readonly parent: Parent | undefined;
  /** Never through a shell. Throws Node's error (ENOENT, EACCES) when the program cannot be started. */
  spawn(program: string, args: readonly string[], options: SpawnOptions): Promise<Child>;
  /** Sends a signal; false when there is no such process. "0" only asks whether there is. */
  signal(pid: number, signal: NodeJS.Signals | 0): boolean;
  onSignal(signal: NodeJS.Signals, handle: () => void): void;
  /** Called with what nobody caught. The process is in an unknown state: `handle` may say so, and has to end it. */
  onBug(handle: (error: unknown) => void): void;
  uid(): number;
  /** Sets the creation mask, returns the one before. */
  umask(mask: number): number;
  /** Gives up privileges for good: supplementary groups, group, user; then proves that they cannot be taken back. */
  become(user: {
    readonly name: string;
    readonly uid: number;
    readonly gid: number;
    readonly groups: readonly number[];
  }): void;
  exit(status: number): never;
}

/** What `become` checks with: were it possible to be root again, this would not throw. */
function assertNoWayBack(): void {
  for (const regain of [() => process.setuid?.(0), () => process.setgid?.(0), () => process.seteuid?.(0)]) {
    let regained = true;
    try {
      regain();
    } catch {
      regained = false;
    }
    if (regained) throw new Error("privileges were dropped and could be taken back: refusing to go on");
  }
}

/** Resolves when the child has ended and all that it sent has been told: its last words may come after its end. */
function exitOf(child: ChildProcess): Promise<ChildExit> {
  return new Promise((resolve) => {
    child.once("exit", (status, signal) => {
      const told = () => resolve({ status: status ?? undefined, signal: signal ?? undefined });
      if (child.connected) child.once("disconnect", told);
      else told();
    });
  });
}

async function start(program: string, args: readonly string[], options: SpawnOptions): Promise<Child> {
  const stdio: StdioOptions = [
    options.input === undefined ? "ignore" : "pipe",
    options.output ? "pipe" : options.quiet ? "ignore" : "inherit",
    options.quiet ? "ignore" : "inherit",
    options.message ? "ipc" : "ignore",
    ...(options.descriptors ?? []),
  ];
  const child = spawn(program, [...args], {
    env: { ...options.env },
    stdio,
    detached: options.detached ?? false,
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
    serialization: "advanced",
  });
  const exited = exitOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.on("error", () => {});
  const { message, output, input } = options;
  if (message) child.on("message", (received) => message(received));
  if (output) child.stdout?.on("data", output);
  if (input !== undefined) {
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  }
  return {
    pid: child.pid ?? 0,
    send: (sent) => {
      if (child.connected) child.send(sent as object, () => {});
    },
    kill: (signal) => void child.kill(signal),
    leave() {
      if (child.connected) child.disconnect();
      child.unref();
    },
    exited,
  };
}

const parent: Parent = {
  send: (message) =>
    new Promise((resolve) => {
      if (process.connected) process.send?.(message as object, undefined, undefined, () => resolve());
      else resolve();
    }),
  listen(message, gone) {
    process.on("message", message);
    process.on("disconnect", gone);
    if (!process.connected) queueMicrotask(gone);
  },
};

export const realProcesses: Processes = {
  pid: process.pid,
  self: { program: process.execPath, args: process.execArgv },
  parent: process.channel ? parent : undefined,
  spawn: start,
  signal(pid, signal) {
    try {
      return process.kill(pid, signal);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EPERM") return true;
      return false;
    }
  },
  onSignal: (signal, handle) => void process.on(signal, handle),
  onBug: (handle) => void process.on("uncaughtException", handle),
  uid: () => process.getuid?.() ?? 0,
  umask: (mask) => process.umask(mask),
  become({ uid, gid, groups }) {
    process.setgroups?.([...groups]);
    process.setgid?.(gid);
    process.setuid?.(uid);
    if (uid !== 0) assertNoWayBack();
  },
  exit: (status) => process.exit(status),
};
