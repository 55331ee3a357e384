/** Mail providers and their servers, as nodemailer's list has them. */
export interface Provider {
  /** What it is chosen by: "Gmail", "SES-EU-WEST-1". */
  readonly name: string;
  readonly description: string;
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte on. */
  readonly wrapper: boolean;
  readonly aliases: readonly string[];
  /** Mail addresses of these domains are accounts there. */
  readonly domains: readonly string[];
}

interface Listed {
  readonly description?: string;
  readonly host?: string;
  /** One of them is a text. */
  readonly port?: number | string;
  readonly secure?: boolean;
  readonly aliases?: readonly string[];
  readonly domains?: readonly string[];
}

/** Names that people know a provider by, beside those of the list. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  Outlook365: ["Microsoft 365", "Microsoft365", "Office 365", "Office365", "Exchange Online", "M365"],
  SES: ["Amazon SES", "AWS SES", "Amazon"],
  SendinBlue: ["Sendinblue"],
  GmailWorkspace: ["Google Workspace"],
};

/** Entries that are nobody's way to send mail: traps for tests, and servers on this host. */
const trap = /testing|Maildev/i;

/** All of them, in the order of their names. Loaded when asked for. */
export async function providers(): Promise<readonly Provider[]> {
  const { default: listed } = await import("nodemailer/lib/well-known/services.json", { with: { type: "json" } });
  const found: Provider[] = [];
  for (const [name, entry] of Object.entries<Listed>(listed)) {
    const { description = name, host, port, secure, aliases = [], domains = [] } = entry;
    if (host === undefined || trap.test(`${name} ${description}`)) continue;
    const wrapper = secure === true || Number(port) === 465;
    found.push({
      ...{ name, description, host, wrapper, domains },
      port: Number(port ?? (wrapper ? 465 : 587)),
      aliases: [...aliases, ...(otherNames[name] ?? [])],
    });
  }
  return found.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
}

/** By name, alias or server; of a mail address, by its domain. Case and blanks do not count. */
export function findProvider(all: readonly Provider[], text: string): Provider | undefined {
  const wanted = folded(text);
  const named = all.find(({ name, aliases, host }) => [name, ...aliases, host].some((each) => folded(each) === wanted));
  if (named) return named;
  const domain = text.includes("@") ? text.slice(text.lastIndexOf("@") + 1).toLowerCase() : "";
  return domain === "" ? undefined : all.find(({ domains }) => domains.includes(domain));
}

const folded = (text: string): string => text.toLowerCase().replace(/[\s._-]+/g, "");
