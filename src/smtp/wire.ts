/**
 * The one way in which a command gets onto the wire. Whatever its parts come
 * from (addresses, parameters, names, logins), a line that leaves here is one
 * line: no CR, LF or NUL inside, and CRLF behind it. Callers that could meet
 * such text judge it first; what is caught here is refused as WireError, and the
 * message is deferred.
 */
export class WireError extends Error {}

/** The bytes of commands that go out together (RFC 2920). */
export class CommandGroup {
  #text = "";
  #ascii = true;

  add(command: string): this {
    if (!isOneLine(command)) throw new WireError("a command contains a line end or NUL");
    this.#ascii &&= !/[^\x00-\x7f]/.test(command);
    this.#text += `${command}\r\n`;
    return this;
  }

  get empty(): boolean {
    return this.#text === "";
  }

  /** A string where it is ASCII (one character, one byte), UTF-8 bytes where not. */
  take(): string | Buffer {
    const text = this.#text;
    const bytes = this.#ascii ? text : Buffer.from(text);
    this.#text = "";
    this.#ascii = true;
    return bytes;
  }
}

/** One command. */
export function commandLine(command: string): string | Buffer {
  return new CommandGroup().add(command).take();
}

/** Nothing in it would end a line before its end. */
export function isOneLine(command: string): boolean {
  return !/[\r\n\0]/.test(command);
}
