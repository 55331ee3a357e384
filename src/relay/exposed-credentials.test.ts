import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realFiles } from "../runtime/files.ts";
import type { Configuration } from "./configuration.ts";
import { exposedCredentials } from "./exposed-credentials.ts";

test("a table of passwords that everybody can read is named with its remedy, source and index alike", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "postern-exposed-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const source = join(directory, "sasl_passwd");
  const index = `${source}.db`;
  const transport = join(directory, "transport");
  for (const path of [source, index, transport]) writeFileSync(path, "");
  const configuration = {
    transports: [{ conf: { smtp_sasl_password_maps: [`hash:${source}`] } }],
  } as unknown as Configuration;
  const parameters = join(directory, "pgsql.cf");
  writeFileSync(parameters, "", { mode: 0o644 });
  const paths = [source, index, transport, join(directory, "gone"), parameters];
  const watched = () => paths.map((path) => ({ path, role: "index" as const, limit_bytes: 1 }));
  const exposed = (secrets: string[] = []) =>
    exposedCredentials(realFiles, configuration, { watched, secrets: () => secrets });
  for (const path of [source, index, transport]) chmodSync(path, 0o644);
  assert.deepEqual(
    (await exposed()).map(({ file, remedy }) => [file, remedy]),
    [source, index].map((path) => [path, `Run: chmod o= ${path}`]),
  );
  for (const path of [source, index]) chmodSync(path, 0o600);
  assert.deepEqual(await exposed(), []);
  assert.deepEqual(
    (await exposed([parameters])).map(({ file }) => file),
    [parameters],
  );
});
