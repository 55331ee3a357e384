import type { CommandIo } from "./io.ts";
import { postqueue } from "./postqueue.ts";

/** mailq(1): the queue, as everybody may see it. */
export function mailq(_args: readonly string[], io: CommandIo): Promise<number> {
  return postqueue(["-p"], io);
}
