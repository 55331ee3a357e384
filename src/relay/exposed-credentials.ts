import type { Problem } from "../conf/problem.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Configuration } from "./configuration.ts";

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
