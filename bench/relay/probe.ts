import { median, table } from "./figures.ts";

/** Figures by their name, which ends with their unit. */
export type Figures = Readonly<Record<string, number>>;

/** One of those that are compared. */
export interface Subject {
  readonly name: string;
  measure(): Promise<Figures>;
}

export interface ProbeOptions {
  /** Options for Postern's Node.js. */
  readonly node: readonly string[];
  /** How many messages lie in the queue, where some do; undefined for the probe's own number. */
  readonly queued: number | undefined;
}

/** A scenario that is no load: something else than messages a second is measured. */
export interface Probe {
  readonly name: string;
  readonly what: string;
  /** Everything that has to be there first. The first subject is Postern; the others are compared with it. */
  open(options: ProbeOptions): Promise<{ readonly subjects: readonly Subject[]; close(): Promise<void> }>;
}

export interface ProbeFigures {
  readonly scenario: string;
  readonly what: string;
  readonly systems: readonly {
    readonly name: string;
    readonly medians: Figures;
    readonly rounds: readonly Figures[];
  }[];
}

/** One, the other, one, the other. */
export async function runProbe(
  probe: Probe,
  { rounds, ...options }: ProbeOptions & { readonly rounds: number },
  say: (text: string) => void,
): Promise<ProbeFigures> {
  say(`\n${probe.name}: ${probe.what}`);
  const { subjects, close } = await probe.open(options);
  try {
    const taken = new Map(subjects.map((subject): [Subject, Figures[]] => [subject, []]));
    for (let turn = 1; turn <= rounds; turn++) {
      for (const subject of subjects) {
        const figures = await subject.measure();
        taken.get(subject)?.push(figures);
        const shown = Object.entries(figures).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
        say(`  round ${turn}, ${subject.name}: ${shown.join(", ")}`);
      }
    }
    const systems = [...taken].map(([{ name }, each]) => ({ name, medians: medians(each), rounds: each }));
    return { scenario: probe.name, what: probe.what, systems };
  } finally {
    await close();
  }
}

function medians(rounds: readonly Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(rounds.map((figures) => figures[name] ?? Number.NaN))]));
}

/** Medians, and Postern's divided by each other's. */
export function probeResults(done: readonly ProbeFigures[]): string {
  const rows = done.flatMap(({ scenario, systems }) => {
    const [first] = systems;
    return systems.flatMap(({ name, medians }, index) =>
      Object.entries(medians).map(([figure, value], line) => [
        index === 0 && line === 0 ? scenario : "",
        name,
        figure,
        value.toPrecision(3),
        index === 0 || !first ? "" : ((first.medians[figure] ?? Number.NaN) / value).toPrecision(2),
      ]),
    );
  });
  return table([["scenario", "system", "figure", "median", "Postern / it"], ...rows]);
}
