import { type TemplateConf, templateFacts } from "../../bounce/report.ts";
import { type Template, type TemplateFacts, templates } from "../../bounce/templates.ts";
import type { Crypto } from "../../runtime/crypto.ts";
import { tableTypes } from "../../table/types.ts";

/** What postconf tells about Postern itself: -a -A -l -m -T, and of notifications -t and -b. */

/**
 * Implementations of SASL, by the names that smtpd_sasl_type and
 * smtp_sasl_type have for them: the built-in client answers to the default's.
 */
const saslTypes = { a: [], A: ["cyrus"] } as const;

const listOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

/** -a and -A, -l (methods to lock a mailbox, of which there are none) and -m, a name a line. */
export function listed(letter: "a" | "A" | "l" | "m"): string {
  if (letter === "m") return listOf(tableTypes.map(({ name }) => name).sort());
  return letter === "l" ? "" : listOf(saslTypes[letter]);
}

/** -T: the TLS library and what certificates it takes; undefined for a mode that there is not. */
export function tlsFact(mode: string, { tls }: Pick<Crypto, "tls">): string | undefined {
  switch (mode) {
    case "compile-version":
    case "run-version":
      return `OpenSSL ${tls.version}\n`;
    case "public-key-algorithms":
      return listOf([...new Set(tls.ciphers.flatMap((name) => /-(rsa|ecdsa|dss)-/.exec(name)?.[1] ?? []))].sort());
    default:
      return undefined;
  }
}

const references: TemplateFacts = {
  myhostname: "$myhostname",
  delayWarning_h: "$delay_warning_time_hours",
  lifetime_d: "$maximal_queue_lifetime_days",
};

/** -t: what notifications say, in the form of a bounce_template_file. */
export function templateTexts(): string {
  return documents("_template", (template) => [...head(template), "", ...template.text(references)]);
}

/** -b: the same with the configuration's values, the texts alone. */
export function expandedTexts(conf: TemplateConf): string {
  return documents("_text", (template) => template.text(templateFacts(conf)), "expanded_");
}

function documents(ending: string, linesOf: (template: Template) => readonly string[], before = ""): string {
  return Object.entries(templates)
    .map(([kind, template]) => `${before}${kind}${ending} = <<EOF\n${listOf(linesOf(template))}EOF\n`)
    .join("\n");
}

function head({ subject, postmasterSubject }: Template): string[] {
  const own = postmasterSubject === subject ? [] : [`Postmaster-Subject: ${postmasterSubject}`];
  return ["Charset: us-ascii", "From: Mail Delivery System <MAILER-DAEMON>", `Subject: ${subject}`, ...own];
}
