import { type Files, readWhole } from "./files.ts";

/** An account as the system's files know it. `groups` are all it belongs to, its own first. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

const limit_bytes = 16 * 1024 * 1024;

/** The account of that name, or undefined. From /etc/passwd and /etc/group. */
export async function findAccount(files: Files, name: string): Promise<Account | undefined> {
  for (const [user, , uidText, gidText] of await rows(files, "/etc/passwd")) {
    const uid = idNumber(uidText);
    const gid = idNumber(gidText);
    if (user !== name || uid === undefined || gid === undefined) continue;
    const memberOf = (await rows(files, "/etc/group"))
      .filter(([, , , members]) => members?.split(",").includes(name))
      .flatMap(([, , number]) => idNumber(number) ?? []);
    return { name, uid, gid, groups: [...new Set([gid, ...memberOf])] };
  }
  return undefined;
}

/** The fields of a user's line in /etc/passwd, or undefined. */
export async function findAccountById(files: Files, uid: number): Promise<readonly string[] | undefined> {
  return (await rows(files, "/etc/passwd")).find(([, , number]) => idNumber(number) === uid);
}

/** The number of a group, or undefined. */
export async function findGroup(files: Files, name: string): Promise<number | undefined> {
  const entry = (await rows(files, "/etc/group")).find(
    ([group, , number]) => group === name && idNumber(number) !== undefined,
  );
  return idNumber(entry?.[2]);
}

/** A damaged line, or one that refers to NIS ("+::::::"), has no number; above all, it is not number 0. */
function idNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

async function rows(files: Files, path: string): Promise<string[][]> {
  const { bytes } = await readWhole(files, path, limit_bytes);
  return bytes
    .toString()
    .split("\n")
    .map((line) => line.split(":"));
}
