import { findAccount } from "../runtime/accounts.ts";
import type { Files } from "../runtime/files.ts";

/** The numbers of the users that a list names; a name that the system does not know has none. */
export async function submitUserIds(words: readonly string[], files: Files): Promise<ReadonlyMap<string, number>> {
  const ids = new Map<string, number>();
  for (const word of words) {
    const name = word.replace(/^!/, "");
    if (name.includes(":") || /^\d+$/.test(name)) continue;
    const account = await findAccount(files, name);
    if (account) ids.set(name, account.uid);
  }
  return ids;
}

/**
 * May this user submit mail (authorized_submit_users)? The first word that names the user
 * decides: a login name, a number, or static: for anybody. Root and the relay itself always may.
 */
export function authorizedUser(
  words: readonly string[],
  ids: ReadonlyMap<string, number>,
  relayUid: number,
): (uid: number) => boolean {
  return (uid) => {
    if (uid === 0 || uid === relayUid) return true;
    for (const word of words) {
      const negated = word.startsWith("!");
      const name = negated ? word.slice(1) : word;
      if (name.startsWith("static:") || name === String(uid) || ids.get(name) === uid) return !negated;
    }
    return false;
  };
}
