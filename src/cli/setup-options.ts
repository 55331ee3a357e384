import { parseArgs } from "node:util";

export const setupUsage = `usage: postern [-c config_directory] setup [options]

Has this host's mail sent through a provider: asks what it needs to know, logs in to see
whether it works, shows what it would change, writes it, and sends a test message.

  --provider NAME       such as Gmail, SES-EU-WEST-1, Postmark (--list shows all)
  --server HOST[:PORT]  any other server; without a port, 587, 465 and 25 are tried
  --account USER        who logs in
  --password-file FILE  the password is the first line of a file
  --password-stdin      … of standard input
  --credential NAME     … of $CREDENTIALS_DIRECTORY/NAME
  --from ADDRESS        the sender to try, where root at this host is not allowed
  --to ADDRESS          who gets the test message; --no-test sends none
  --ca-file FILE        whom to trust, in place of the authorities of the system
  --no-verify           encrypt, and do not look who is at the other end
  --yes                 write without asking
  --dry-run             write nothing
  --undo                take back what the last setup wrote
  --list                the providers

A password is never taken from the command line, where everybody on this host could read it.
`;

const options = {
  account: { type: "string" },
  "ca-file": { type: "string" },
  credential: { type: "string" },
  "dry-run": { type: "boolean" },
  from: { type: "string" },
  help: { type: "boolean", short: "h" },
  list: { type: "boolean" },
  "no-test": { type: "boolean" },
  "no-verify": { type: "boolean" },
  "password-file": { type: "string" },
  "password-stdin": { type: "boolean" },
  provider: { type: "string" },
  server: { type: "string" },
  timeout: { type: "string" },
  to: { type: "string" },
  undo: { type: "boolean" },
  yes: { type: "boolean", short: "y" },
} as const;

export type SetupOptions = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

/** The options, or what is wrong with them; never with what stands behind one, which may be a secret in the wrong place. */
export function parseSetup(args: readonly string[]): SetupOptions | string {
  if (args.some((arg) => /^--pass(?:word)?(?:=|$)/.test(arg))) {
    return "a password is not taken from the command line, where everybody on this host can read it: use --password-file, --password-stdin or --credential";
  }
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true });
    const sources = [values["password-file"], values["password-stdin"], values.credential].filter(
      (each) => each !== undefined,
    );
    if (sources.length > 1)
      return "the password comes from one place: --password-file, --password-stdin or --credential";
    if (values.provider !== undefined && values.server !== undefined) return "--provider or --server, not both";
    return values;
  } catch (error) {
    return error instanceof Error ? (error.message.split(". To specify")[0] ?? "") : String(error);
  }
}
