import type { Problem } from "../conf/problem.ts";
import { createLog } from "../log/log.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Configuration } from "./configuration.ts";
import { gatherMaterials } from "./materials.ts";

/** What `check` finds in the files that a configuration refers to. */
export interface TableFindings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export async function checkTables(
  runtime: Pick<Runtime, "files" | "clock" | "random" | "net" | "names">,
  configuration: Configuration,
): Promise<TableFindings> {
  const { files, clock } = runtime;
  const warnings: Problem[] = [];
  const plain = (text: string): Problem => ({ file: "", line: 0, text, remedy: "" });
  const log = createLog({
    sink: ({ text }) => void warnings.push(plain(text)),
    now: () => clock.now(),
    service: "check",
    slot: 0,
    tag: "postfix",
  });
  const { materials, problems } = await gatherMaterials(runtime, configuration, log);
  warnings.push(...materials.warnings, ...materials.tables.stale(clock.now()).map(stale));
  warnings.push(
    ...(await exposedCredentials(
      files,
      configuration,
      materials.tables.watched().map(({ path }) => path),
    )),
  );
  return { problems, warnings };
}

function stale(text: string): Problem {
  const [, source = ""] = /older than source file (.*)$/.exec(text) ?? [];
  return { file: "", line: 0, text, remedy: source ? `Run: postmap hash:${source}` : "" };
}

/** Tables of passwords that everybody can read. */
export async function exposedCredentials(
  files: Runtime["files"],
  { transports }: Configuration,
  watched: readonly string[],
): Promise<Problem[]> {
  const names = new Set(
    transports.flatMap(({ conf }) => conf.smtp_sasl_password_maps.map((each) => each.replace(/^[a-z]+:/, ""))),
  );
  const found: Problem[] = [];
  for (const path of watched) {
    if (!names.has(path) && !names.has(path.replace(/\.db$/, ""))) continue;
    const facts = await files.facts(path).catch(() => undefined);
    if (!facts || (facts.mode & 0o004) === 0) continue;
    found.push({
      file: path,
      line: 0,
      text: "holds passwords, and everybody on this host can read it",
      remedy: `Run: chmod o= ${path}`,
    });
  }
  return found;
}
