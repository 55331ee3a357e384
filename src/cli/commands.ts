/**
 * Every command of bin/postern, each loaded only when it is called. The usage text, the completions and the manual page
 * are made of this list.
 */
import type { Command, CommandEntry } from "./command.ts";
import type { LifecycleCommand } from "./lifecycle-commands.ts";

const lifecycle = (name: LifecycleCommand, summary: string): CommandEntry => ({
  name,
  summary,
  load: async () => {
    const { lifecycle: run } = await import("./lifecycle.ts");
    return (args, io) => run(name, args, io);
  },
});

export const commands: readonly CommandEntry[] = [
  lifecycle("start", "take mail and deliver it, in the background"),
  lifecycle("start-fg", "the same in the foreground"),
  lifecycle("stop", "end, with what is in hand finished"),
  lifecycle("abort", "end at once"),
  lifecycle("reload", "use the configuration as it is now"),
  {
    name: "status",
    summary: "is it running, and what waits, why, and what would help",
    load: async () => (await import("./status.ts")).status,
    help: async () => (await import("./status.ts")).statusUsage,
  },
  {
    name: "check",
    summary: "say what is wrong, and how to mend it; ask the servers that mail goes to",
    load: async () => (await import("./check.ts")).check,
    help: async () => (await import("./check.ts")).checkUsage,
  },
  {
    name: "setup",
    summary: "have mail sent through a provider: ask, log in, show, write, test",
    load: async () => (await import("./setup.ts")).setup,
    help: async () => (await import("./setup-options.ts")).setupUsage,
  },
  {
    name: "try",
    summary: "send a small message to an address, and show what happens to it",
    load: async () => (await import("./try.ts")).tryCommand,
    help: async () => (await import("./try.ts")).tryUsage,
  },
  {
    name: "why",
    summary: "the life of a message, by queue id or address, in plain words",
    load: async () => (await import("./why.ts")).why,
    help: async () => (await import("./why.ts")).whyUsage,
  },
  {
    name: "top",
    summary: "watch the mail system at work, on a terminal",
    load: async () => (await import("./top.ts")).top,
    help: async () => (await import("./top.ts")).topUsage,
  },
  lifecycle("flush", "try all deferred mail at once"),
  lifecycle("logrotate", "begin a new log file"),
  {
    name: "repair",
    summary: "look for damage in the queue, and save what can be read",
    load: async () => (await import("./repair.ts")).repair,
    help: async () => (await import("./repair.ts")).repairUsage,
  },
  {
    name: "completion",
    summary: "print a script that completes these commands in bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completionOf(commands, Object.keys(programs)),
    help: async () => (await import("./completion.ts")).completionUsage,
  },
];

/** Programs that keep Postfix's command line. A link of that name to bin/postern acts as the program. */
export const programs: Readonly<Record<string, () => Promise<Command>>> = {
  mailq: async () => (await import("./mailq.ts")).mailq,
  newaliases: async () => (await import("./postalias.ts")).newaliases,
  postalias: async () => (await import("./postalias.ts")).postalias,
  postcat: async () => (await import("./postcat.ts")).postcat,
  postconf: async () => (await import("./postconf.ts")).postconf,
  postmap: async () => (await import("./postmap.ts")).postmap,
  postqueue: async () => (await import("./postqueue.ts")).postqueue,
  postsuper: async () => (await import("./postsuper.ts")).postsuper,
  sendmail: async () => (await import("./sendmail.ts")).sendmail,
};

/** What `postern help` prints. */
export function usage(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`);
  return `usage: postern [-c config_directory] command

${lines.join("")}  ${"postfix …".padEnd(width)}  the same commands, for those who know them by that name

  ${Object.keys(programs).join(" ")}
  ${"".padEnd(width)}  as Postfix has them; a link of that name to this program does the same

A command's own options: postern COMMAND --help
`;
}
