import { splitList } from "../conf/param.ts";
import type { Answer, Maps } from "../table/maps.ts";

export interface SubmitUsers {
  /** authorized_submit_users, as words. */
  readonly words: readonly string[];
  /** The login name of a user; undefined where the system knows none. */
  readonly nameOf: (uid: number) => Promise<string | undefined>;
  readonly maps: (references: readonly string[]) => Maps;
  /** The text of a /file; undefined where it could not be read. */
  readonly file: (path: string) => string | undefined;
  /** Who the relay is. */
  readonly relayUid: number;
}

/** /files that name /files, to this depth. */
const nestingLimit = 20;

/**
 * May this user submit mail (authorized_submit_users)? The first word that names the user
 * decides: a login name, a number, a table that has the name or the number, a /file of such words, or static: for anybody.
 * Root and the relay itself always may. Rejects with TableError where a table cannot tell.
 */
export function authorizedUser({
  words,
  nameOf,
  maps,
  file,
  relayUid,
}: SubmitUsers): (uid: number) => Promise<boolean> {
  return async (uid) => {
    if (uid === 0 || uid === relayUid) return true;
    const first = words[0] ?? "";
    if (first.startsWith("static:")) return true;
    const names = [await nameOf(uid), String(uid)].filter((name) => name !== undefined);
    return (await decide(words, names, 0)) ?? false;
  };

  async function decide(
    among: readonly string[],
    names: readonly string[],
    depth: number,
  ): Promise<boolean | undefined> {
    for (const word of among) {
      const pattern = word.replace(/^!+/, "");
      const positive = (word.length - pattern.length) % 2 === 0;
      const found = await matches(pattern, names, depth);
      if (found !== undefined) return positive ? found : !found;
    }
    return undefined;
  }

  /** Undefined: it does not speak of this user. */
  async function matches(pattern: string, names: readonly string[], depth: number): Promise<boolean | undefined> {
    if (pattern.startsWith("/")) {
      if (depth >= nestingLimit) return undefined;
      const lines = (file(pattern) ?? "").split("\n").map((line) => line.replace(/#.*/, ""));
      return decide(
        lines.flatMap((line) => splitList(line)),
        names,
        depth + 1,
      );
    }
    if (pattern.startsWith("static:")) return true;
    if (!pattern.includes(":")) return names.includes(pattern) || undefined;
    const table = maps([pattern]);
    for (const name of names) {
      const answer: Answer<string | undefined> = table.find(name);
      if ((await answer) !== undefined) return true;
    }
    return undefined;
  }
}
