/**
 * npm run fuzz [-- TYPE [COUNT [SEED]]]: reads COUNT (a million) damaged index files of the type, or of each type. What
 * breaks a reader is kept in the system's directory for temporary files, and its name is printed.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDamaged } from "../src/table/damage.ts";
import { tableTypes } from "../src/table/types.ts";

const [only, count = "1000000", seed = String(Date.now() % 2 ** 32)] = process.argv.slice(2);

for (const { name, index } of tableTypes) {
  if (!index || (only !== undefined && only !== name)) continue;
  const outcome = readDamaged(index, {
    seed: Number(seed),
    count: Number(count),
    broken(bytes) {
      const path = join(tmpdir(), `postern-fuzz-${process.pid}${index.suffix}`);
      writeFileSync(path, bytes);
      console.error(`${name}: ${path} breaks the reader`);
    },
  });
  console.log(`${name}: ${count} files, seed ${seed}: ${outcome.answered} answered, ${outcome.refused} refused`);
}
