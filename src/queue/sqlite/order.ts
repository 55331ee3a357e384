/** A tree whose order is broken would be walked in circles. */
export class OrderError extends Error {
  readonly code = "SQLITE_CORRUPT_ORDER";

  constructor(what: string) {
    super(`${what} is out of order`);
  }
}

/** Throws OrderError where ids do not rise, from one that they come after. */
export function assertRising(after: number, ids: readonly number[]): void {
  let last = after;
  for (const id of ids) {
    if (!(id > last)) throw new OrderError("the table of messages");
    last = id;
  }
}
