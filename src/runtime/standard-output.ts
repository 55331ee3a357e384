/**
 * Writes to our own standard output, whatever it is: a file, a pipe, or a socket (systemd's
 * journal), which /dev/stdout cannot be opened as. Resolves when the bytes are taken; rejects when nobody reads any more.
 */
export function writeToStandardOutput(bytes: Uint8Array): Promise<void> {
  if (!listening) process.stdout.on("error", () => {});
  listening = true;
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** A broken pipe is told to whoever writes; without a listener it would end the process, too. */
let listening = false;
