import type { Files } from "../../runtime/files.ts";
import { errorCode, readWhole } from "../../runtime/files.ts";

/**
 * Which file systems a queue may lie on. SQLite's write-ahead log needs memory
 * shared between processes and locks that work, which file systems over a
 * network do not give; some answer a sync before anything is safe.
 */

/** Magic numbers as statfs(2) gives them. */
const networkTypes: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9p"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x01161970, "GFS2"],
  [0x7461636f, "OCFS2"],
  [0x47504653, "GPFS"],
  [0x20030528, "OrangeFS"],
  [0x19830326, "BeeGFS"],
  [0x564c, "NCP"],
]);

const fuse = 0x65735546;
/** FUSE holds local and distant ones alike; the mount table tells them apart by name. */
const distantFuse =
  /^fuse\.(?:sshfs|s3fs|s3ql|gcsfuse|goofys|geesefs|rclone|mount-s3|glusterfs|ceph|ceph-fuse|davfs2?|curlftpfs|smbnetfs|juicefs|blobfuse2?|cvmfs2?|moosefs|mfs|lizardfs|seaweedfs|weed|osxfs|grpcfuse)\b/;

/** The name of the network file system that a directory lies on, or undefined when it is a local one. */
export async function networkFileSystem(files: Files, directory: string): Promise<string | undefined> {
  const { type } = await files.space(directory);
  const known = networkTypes.get(type >>> 0);
  if (known || type >>> 0 !== fuse) return known;
  const mounted = await mountedType(files, await files.realPath(directory));
  return mounted && distantFuse.test(mounted) ? mounted : undefined;
}

/** The type of the file system mounted over a path (proc(5), mountinfo), or undefined where that cannot be told. */
async function mountedType(files: Files, path: string): Promise<string | undefined> {
  let table: string;
  try {
    table = (await readWhole(files, "/proc/self/mountinfo", mountTableLimit_bytes)).bytes.toString();
  } catch (error) {
    if (errorCode(error) === "") throw error;
    return undefined;
  }
  let longest = -1;
  let found: string | undefined;
  for (const line of table.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const point = unescapeMount(before.split(" ")[4] ?? "");
    const under = path === point || path.startsWith(point.endsWith("/") ? point : `${point}/`);
    if (!point || !under || point.length < longest) continue;
    longest = point.length;
    found = after.split(" ")[0];
  }
  return found;
}

const mountTableLimit_bytes = 4 * 1024 * 1024;

const unescapeMount = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
