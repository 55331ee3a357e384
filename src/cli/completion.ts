import type { Command, CommandEntry } from "./command.ts";

export const completionUsage = `usage: postern completion bash|zsh|fish

Prints a script that completes commands and options. To have it always:

  bash  postern completion bash > /etc/bash_completion.d/postern
  zsh   postern completion zsh > /usr/local/share/zsh/site-functions/_postern
  fish  postern completion fish > /etc/fish/completions/postern.fish
`;

/** The command, for these commands and programs. */
export function completionOf(commands: readonly CommandEntry[], programs: readonly string[]): Command {
  return async (args, io) => {
    const [shell = "", ...more] = args;
    if (shell === "--help" || shell === "-h") {
      io.out(completionUsage);
      return 0;
    }
    const known = more.length === 0 && Object.hasOwn(scripts, shell);
    if (!known) {
      io.err(completionUsage);
      return 64;
    }
    io.out(scripts[shell as keyof typeof scripts](await described(commands, programs)));
    return 0;
  };
}

interface Described {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly string[];
}

async function described(
  commands: readonly CommandEntry[],
  programs: readonly string[],
): Promise<readonly Described[]> {
  const own = await Promise.all(
    commands.map(async (entry) => ({ name: entry.name, summary: entry.summary, options: await longOptions(entry) })),
  );
  const others = programs.map((name) => ({ name, summary: "as Postfix has it", options: [] }));
  return [...own, ...others];
}

/** As --help lists them, in a column of their own. */
export async function longOptions({ help }: CommandEntry): Promise<readonly string[]> {
  const text = help ? await help() : "";
  return [...text.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, option = ""]) => option);
}

const scripts = { bash, zsh, fish } as const;

function bash(all: readonly Described[]): string {
  const cases = all.filter(({ options }) => options.length > 0);
  return `# bash completion for postern
_postern() {
  local word=\${COMP_WORDS[COMP_CWORD]} command= index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      -c) ((index++)) ;;
      -*) ;;
      *) command=\${COMP_WORDS[index]}; break ;;
    esac
  done
  if [[ \${COMP_WORDS[COMP_CWORD - 1]} == -c ]]; then
    COMPREPLY=($(compgen -d -- "$word"))
    return
  fi
  case $command in
    "") COMPREPLY=($(compgen -W "${all.map(({ name }) => name).join(" ")}" -- "$word")) ;;
${cases.map(({ name, options }) => `    ${name}) COMPREPLY=($(compgen -W "${options.join(" ")}" -- "$word")) ;;\n`).join("")}    completion) COMPREPLY=($(compgen -W "${Object.keys(scripts).join(" ")}" -- "$word")) ;;
  esac
}
complete -o default -F _postern postern
`;
}

function zsh(all: readonly Described[]): string {
  const cases = all.filter(({ options }) => options.length > 0);
  const words = (options: readonly string[]): string => options.map((each) => `'${each}'`).join(" ");
  return `#compdef postern
_postern() {
  local -a commands
  commands=(
${all.map(({ name, summary }) => `    '${name}:${summary.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'\n`).join("")}  )
  _arguments -C '-c[configuration directory]:directory:_files -/' '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
${cases.map(({ name, options }) => `        ${name}) compadd -- ${words(options)} ;;\n`).join("")}        completion) compadd -- ${Object.keys(scripts).join(" ")} ;;
      esac ;;
  esac
}
_postern "$@"
`;
}

function fish(all: readonly Described[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = all.map(
    ({ name, summary }) => `complete -c postern -f -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}\n`,
  );
  for (const { name, options } of all) {
    for (const option of options) {
      lines.push(`complete -c postern -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}\n`);
    }
  }
  lines.push(
    `complete -c postern -f -n '__fish_seen_subcommand_from completion' -a '${Object.keys(scripts).join(" ")}'\n`,
    "complete -c postern -s c -r -d 'configuration directory'\n",
  );
  return `# fish completion for postern\n${lines.join("")}`;
}
