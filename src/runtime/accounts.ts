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
  const entry = (await rows(files, "/etc/passwd")).find(([user]) => user === name);
  if (!entry) return undefined;
  const uid = Number(entry[2]);
  const gid = Number(entry[3]);
  const memberOf = (await rows(files, "/etc/group"))
    .filter(([, , , members]) => members?.split(",").includes(name))
    .map(([, , number]) => Number(number));
  return { name, uid, gid, groups: [...new Set([gid, ...memberOf])] };
}

/** The fields of a user's line in /etc/passwd, or undefined. */
export async function findAccountById(files: Files, uid: number): Promise<readonly string[] | undefined> {
  return (await rows(files, "/etc/passwd")).find(([, , number]) => Number(number) === uid);
}

/** The number of a group, or undefined. */
export async function findGroup(files: Files, name: string): Promise<number | undefined> {
  const entry = (await rows(files, "/etc/group")).find(([group]) => group === name);
  return entry && Number(entry[2]);
}

async function rows(files: Files, path: string): Promise<string[][]> {
  const { bytes } = await readWhole(files, path, limit_bytes);
  return bytes
    .toString()
    .split("\n")
    .map((line) => line.split(":"));
}
