import type { Clock } from "./clock.ts";
import type { Crypto } from "./crypto.ts";
import type { Files } from "./files.ts";
import type { Host } from "./host.ts";
import type { Names } from "./names.ts";
import type { Net } from "./net.ts";
import type { Processes } from "./processes.ts";
import type { Random } from "./random.ts";

/**
 * The outside world, behind small interfaces. Whatever reads a clock, draws a
 * random number, touches a file, a socket, a name server or another process
 * gets it from here, so that the whole relay can run in a world that is made
 * of a seed. Knows no mail.
 */
export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly files: Files;
  readonly net: Net;
  readonly names: Names;
  readonly host: Host;
  readonly processes: Processes;
}
