/** Is this a line "From ", with any number of ">" before it, as mailbox files have it before a message? */
export function isMailboxLine(bytes: Buffer, start: number): boolean {
  let at = start;
  while (bytes[at] === 0x3e) at++;
  return bytes.toString("latin1", at, at + 5) === "From ";
}

/** The same as a header. */
export function mailboxLine(line: Buffer): Buffer {
  return Buffer.concat([Buffer.from("X-Mailbox-Line: "), line]);
}
