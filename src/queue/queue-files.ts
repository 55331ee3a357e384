/** The files of a queue's directory. */

/** The queue. SQLite keeps `-wal` and `-shm` beside it. */
export const queueFile = (directory: string): string => `${directory}/queue.db`;

/** There when the file was found damaged: mended at the next start. */
export const damageNote = (directory: string): string => `${directory}/damaged`;

/** A new queue file that is being written, and one that is complete and has to take the place of the damaged one. */
export const repairing = (directory: string): string => `${queueFile(directory)}.repairing`;
export const repaired = (directory: string): string => `${queueFile(directory)}.repaired`;

/** Where damaged files are kept. */
export const keptPrefix = "queue.db.damaged-";
