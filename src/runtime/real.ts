import { realClock } from "./clock.ts";
import { realCrypto } from "./crypto.ts";
import { realFiles } from "./files.ts";
import { realHost } from "./host.ts";
import { realNames } from "./names.ts";
import { realNet } from "./net.ts";
import { realProcesses } from "./processes.ts";
import { realRandom } from "./random.ts";
import type { Runtime } from "./runtime.ts";

/** The machine as it is. */
export function realRuntime(): Runtime {
  return {
    clock: realClock,
    random: realRandom,
    crypto: realCrypto,
    files: realFiles,
    net: realNet,
    names: realNames(),
    host: realHost,
    processes: realProcesses,
  };
}
