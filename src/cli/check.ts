import { parseArgs } from "node:util";
import { check as inspect } from "../check/check.ts";
import { reportJson, reportText } from "./check-report.ts";
import type { CommandIo } from "./io.ts";
import { paintFor } from "./paint.ts";

export const checkUsage = `usage: postern [-c config_directory] check [options] [next hop or address …]

Says what is wrong with the configuration, or will be, and how to mend it. Then asks
each server that mail can be led to, up to MAIL FROM; no mail is sent.

  --offline          ask nobody
  --from ADDRESS     the sender to try, in place of root at this host
  --timeout SECONDS  how long an answer is waited for (15)
  --show-dialogue    the conversation with each server, without secrets
  --all              what is only good to know, too
  --json             for programs

  exit status: 0 nothing is wrong, 1 warnings, 78 it will not work
`;

/** `postern check`; sysexits(3) 64 for what is no option. */
export async function check(args: readonly string[], io: CommandIo): Promise<number> {
  const parsed = parse(args);
  if (typeof parsed === "string") {
    io.err(`postern check: ${parsed}\n${checkUsage}`);
    return 64;
  }
  if (parsed.values.help) {
    io.out(checkUsage);
    return 0;
  }
  const patience_s = Number(parsed.values.timeout ?? 15);
  if (!(patience_s >= 1 && patience_s <= 600)) {
    io.err(`postern check: --timeout takes 1 to 600 seconds, not "${parsed.values.timeout}"\n`);
    return 64;
  }
  const report = await inspect(io.runtime, {
    directory: io.directory,
    env: io.env,
    offline: parsed.values.offline ?? false,
    destinations: parsed.positionals,
    from: parsed.values.from,
    patience_s,
    progress: progressOn(io),
  });
  const dialogue = parsed.values["show-dialogue"] ?? false;
  if (parsed.values.json) io.out(reportJson(report));
  else io.out(reportText(report, { paint: paintFor(io), all: parsed.values.all ?? false, dialogue }));
  return report.status;
}

const options = {
  all: { type: "boolean" },
  from: { type: "string" },
  help: { type: "boolean", short: "h" },
  json: { type: "boolean" },
  offline: { type: "boolean" },
  "show-dialogue": { type: "boolean" },
  timeout: { type: "string" },
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** One line on a terminal, written over and over, and gone at the end. */
function progressOn(io: CommandIo): (done: number, all: number) => void {
  if (io.columns?.err === undefined) return () => {};
  return (done, all) => {
    if (all > 0) io.err(done < all ? `\rasking ${all} next hops, ${done} done ` : "\r\x1b[K");
  };
}
