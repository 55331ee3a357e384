import type { Problem } from "../conf/problem.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Configuration } from "./configuration.ts";
import type { Tables } from "./tables.ts";

/** Tables of passwords, and files with the password of a database, that everybody can read. */
export async function exposedCredentials(
  files: Runtime["files"],
  { transports }: Configuration,
  tables: Pick<Tables, "watched" | "secrets">,
): Promise<Problem[]> {
  const names = new Set(
    transports.flatMap(({ conf }) => conf.smtp_sasl_password_maps.map((each) => each.replace(/^(?:\w+:)+/, ""))),
  );
  const secrets = new Set(tables.secrets());
  const found: Problem[] = [];
  for (const { path } of tables.watched()) {
    const ofPasswords = names.has(path) || names.has(path.replace(/\.(?:db|cdb|lmdb)$/, ""));
    if (!ofPasswords && !secrets.has(path)) continue;
    const facts = await files.facts(path).catch(() => undefined);
    if (!facts || (facts.mode & 0o004) === 0) continue;
    found.push({
      file: path,
      line: 0,
      text: secrets.has(path)
        ? "holds a password, and everybody on this host can read it"
        : "holds passwords, and everybody on this host can read it",
      remedy: `Run: chmod o= ${path}`,
    });
  }
  return found;
}
