import { domainToASCII } from "node:url";

/** Could this be asked of a name server? Labels of letters, digits, hyphen and underscore; other than ASCII where IDNA has a form for it. */
export function isHostName(name: string): boolean {
  const ascii = asciiName(name);
  if (ascii === "" || ascii.length > 253) return false;
  const labels = ascii.split(".");
  if (labels.every((label) => /^\d+$/.test(label))) return false;
  return labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
}

/** The form that goes into DNS queries and certificates (RFC 5891): "bücher.example" as "xn--bcher-kva.example"; "" where there is none. */
export function asciiName(name: string): string {
  return /^[\x00-\x7f]*$/.test(name) ? name : domainToASCII(name);
}
