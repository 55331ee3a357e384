import { errorCode, type Files } from "../runtime/files.ts";
import type { Processes } from "../runtime/processes.ts";

/** What strftime(3) makes of the conversions that a file name's suffix is written with. */
export function timeSuffix(format: string, local_ms: number): string {
  const iso = new Date(local_ms).toISOString();
  const parts: Readonly<Record<string, string>> = {
    Y: iso.slice(0, 4),
    m: iso.slice(5, 7),
    d: iso.slice(8, 10),
    H: iso.slice(11, 13),
    M: iso.slice(14, 16),
    S: iso.slice(17, 19),
    s: String(Math.floor(local_ms / 1000)),
    "%": "%",
  };
  return format.replaceAll(/%(.)/g, (whole, letter: string) => parts[letter] ?? whole);
}

/**
 * `postfix logrotate`: the log gets a suffix and is compressed, and a new one is begun.
 * `reopen` is awaited between the two, so that nothing is written to a file that is being compressed.
 * Resolves to the rotated file's name; throws when a step fails, naming it. An earlier log is never
 * overwritten, and where no new one can be begun the old one keeps its name.
 */
export async function rotateLog(
  world: { readonly files: Files; readonly processes: Processes; readonly env: Readonly<Record<string, string>> },
  path: string,
  suffix: string,
  compressor: string,
  reopen: () => Promise<void>,
): Promise<string> {
  const rotated = `${path}.${suffix}`;
  await assertFree(world.files, rotated);
  await world.files.rename(path, rotated);
  try {
    await reopen();
  } catch (error) {
    await world.files.rename(rotated, path).catch(() => {});
    throw error;
  }
  if (!compressor) return rotated;
  const child = await world.processes.spawn(compressor, [rotated], { env: world.env });
  const { status, signal } = await child.exited;
  if (status !== 0) throw new Error(`${compressor} ${rotated}: ${signal ?? `exit status ${status}`}`);
  return rotated;
}

async function assertFree(files: Files, path: string): Promise<void> {
  for (const taken of [path, `${path}.gz`]) {
    const free = await files.linkFacts(taken).then(
      () => false,
      (error: unknown) => errorCode(error) === "ENOENT",
    );
    if (!free)
      throw new Error(`${taken} is there already: try again in a second, or change maillog_file_rotate_suffix`);
  }
}
