import { serverAnswers } from "./answers.ts";
import { byClass, byReply, byStatus } from "./codes.ts";
import type { Entry, Explanation } from "./explanation.ts";
import { localFailures } from "./failures.ts";
import { providerAnswers } from "./providers.ts";

/** What servers say, the particular before the general. */
const said: readonly Entry[] = [...providerAnswers, ...serverAnswers];
export const entries: readonly Entry[] = [...said, ...localFailures];

/** A server's words are in it, or it is nothing else. */
const isSaid = /(?: said| talk to me): |^\d{3}(?:[- ]|$)/;

/** What stands before the reason where a delivery was not even tried. */
const suspended = /^delivery temporarily suspended: /;

/** A text longer than this is cut: replies have no end, patterns look at all of it. */
const looked_chars = 2048;

/**
 * What a reason means: one of those that the log has behind status=deferred or status=bounced, mailq in parentheses, and the queue
 * with its recipients; or a server's reply alone. `dsn` is its enhanced status code, for where the text has none. Undefined where
 * nothing can be said.
 */
export function explain(reason: string, dsn = ""): Explanation | undefined {
  const text = reason.replace(suspended, "").slice(0, looked_chars);
  const entry = (isSaid.test(text) ? said : localFailures).find(({ matches }) => matches.test(text));
  if (entry) {
    const { code, meaning, remedy, act } = entry;
    return { code, meaning, remedy, act };
  }
  return byCode(text, dsn);
}

/** Was it put off only because its destination is left alone for a while? */
export const isSuspended = (reason: string): boolean => suspended.test(reason);

function byCode(text: string, dsn: string): Explanation | undefined {
  const parts = /(?:said: |talk to me: |^)([45]\d\d)(?:[- ]([45])\.(\d{1,3}\.\d{1,3})\b)?/.exec(text);
  const [, reply = "", , fromText] = parts ?? [];
  const status = fromText ?? /^[45]\.(\d{1,3}\.\d{1,3})$/.exec(dsn)?.[1] ?? "";
  return byStatus[status] ?? byReply[reply] ?? (reply === "" ? undefined : byClass[reply.charAt(0)]);
}
