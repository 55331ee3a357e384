import { startSqliteWorker } from "../queue/open.ts";
import { realRuntime } from "../runtime/real.ts";
import { realLocking } from "./gone-owners.ts";
import { runRelayProcess } from "./relay-process.ts";

/** The program that the master starts: a relay on the machine as it is. */
runRelayProcess({ runtime: realRuntime(), startEngine: startSqliteWorker, locks: realLocking });
