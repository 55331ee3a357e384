import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "../../test/lab/at-exit.ts";

const calls = "fsync,fdatasync,sync_file_range,msync,syncfs,sync";

/**
 * A disk whose syncs take longer: by strace(1), which delays the calls of all processes that a program starts. With
 * --seccomp-bpf it is asked about those calls alone, the others cost what they always cost. Undefined for no delay.
 */
export function delaySyncs(delay_ms: number | undefined) {
  if (!delay_ms) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "postern-delay-"));
  const trace = join(directory, "trace");
  atExit(() => rmSync(directory, { recursive: true, force: true }));
  const strace = ["strace", "-D", "-f", "--seccomp-bpf", "-o", trace, "-e", "signal=none", "-e", `trace=${calls}`];
  const inject = ["-e", `inject=${calls}:delay_enter=${delay_ms * 1000}`];
  // strace would keep open what somebody reads until all of its processes have ended.
  const quiet = ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"];
  return {
    start: { under: [...quiet, ...strace, ...inject] },
    system: {
      /** What strace has done. That it did nothing makes the figures worthless. */
      remark(): string {
        const delayed = readFileSync(trace, "latin1").split("(DELAYED)").length - 1;
        if (delayed === 0) throw new Error("no sync was delayed");
        return `${delayed} syncs took ${delay_ms} ms longer`;
      },
    },
  };
}
