/** The commands of one session, as they are summed up when it ends. */

/** In the order in which they are shown. "unknown" is everything else. */
export const commandNames = [
  "helo",
  "ehlo",
  "xclient",
  "xforward",
  "starttls",
  "auth",
  "mail",
  "rcpt",
  "data",
  "bdat",
  "rset",
  "noop",
  "vrfy",
  "etrn",
  "quit",
  "help",
  "unknown",
] as const;

export type CommandName = (typeof commandNames)[number];

const indices: ReadonlyMap<string, number> = new Map(commandNames.map((name, index) => [name, index]));

export class CommandCounts {
  // Plain arrays: typed ones cost several times as much to make, and there are two for each connection.
  readonly #successes: number[] = new Array(commandNames.length).fill(0);
  readonly #totals: number[] = new Array(commandNames.length).fill(0);

  tried(name: CommandName): void {
    this.#add(this.#totals, name);
  }

  succeeded(name: CommandName): void {
    this.#add(this.#successes, name);
  }

  /** " ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4". A session without commands gives " commands=0/0". */
  get summary(): string {
    let shown = "";
    let successes = 0;
    let totals = 0;
    for (const [index, name] of commandNames.entries()) {
      const total = this.#totals[index] ?? 0;
      if (total === 0) continue;
      const success = this.#successes[index] ?? 0;
      shown += ` ${name}=${success}${success === total ? "" : `/${total}`}`;
      successes += success;
      totals += total;
    }
    return `${shown} commands=${successes}${successes === totals && totals > 0 ? "" : `/${totals}`}`;
  }

  #add(counts: number[], name: CommandName): void {
    const index = indices.get(name) ?? 0;
    counts[index] = (counts[index] ?? 0) + 1;
  }
}
