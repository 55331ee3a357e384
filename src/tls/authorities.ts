import { X509Certificate } from "node:crypto";
import { errorCode, type Files, readWhole } from "../runtime/files.ts";
import type { TlsConf } from "./policy.ts";

/** The largest file of authorities, and the most bytes of all of them together. Debian's whole collection is 220 KB. */
export const authorityFile_bytes = 8 * 1024 * 1024;
const authorities_bytes = 32 * 1024 * 1024;

/** The most files of one smtp_tls_CApath. */
const directory_files = 10_000;

/** A smtp_tls_CAfile or smtp_tls_CApath that cannot be used: a reason not to start. */
export class AuthoritiesError extends Error {}

export interface Authorities {
  /** One PEM certificate each, none twice. Empty: nobody is trusted. */
  readonly certificates: readonly string[];
  /** What was left out, and why; for the log. */
  readonly warnings: readonly string[];
}

/** Where systems keep the authorities that they trust: Debian, Red Hat, SUSE, BSD. The first that is there counts. */
export const systemAuthorityFiles: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/var/lib/ca-certificates/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * Whom we trust to vouch for servers: smtp_tls_CAfile, smtp_tls_CApath and,
 * with tls_append_default_CA, the system's. Read once, as root, before
 * privileges are dropped. What a directory holds besides certificates is
 * passed over. Throws AuthoritiesError.
 */
export async function loadAuthorities(
  conf: Pick<TlsConf, "smtp_tls_CAfile" | "smtp_tls_CApath" | "tls_append_default_CA">,
  files: Files,
): Promise<Authorities> {
  const found = new Set<string>();
  const warnings: string[] = [];
  if (conf.smtp_tls_CAfile) await addFile("smtp_tls_CAfile", conf.smtp_tls_CAfile, files, found);
  if (conf.smtp_tls_CApath) await addDirectory(conf.smtp_tls_CApath, files, found, warnings);
  if (conf.tls_append_default_CA) await addSystem(files, found);
  return { certificates: [...found], warnings };
}

async function addSystem(files: Files, found: Set<string>): Promise<void> {
  for (const path of systemAuthorityFiles) {
    try {
      await files.facts(path);
    } catch (error) {
      if (errorCode(error) === "ENOENT") continue;
      throw new AuthoritiesError(`tls_append_default_CA: ${reason(error)}`);
    }
    return addFile("tls_append_default_CA", path, files, found);
  }
  throw new AuthoritiesError(`tls_append_default_CA: none of these is there: ${systemAuthorityFiles.join(", ")}`);
}

async function addFile(parameter: string, path: string, files: Files, found: Set<string>): Promise<void> {
  const certificates = certificatesOf(await textOf(parameter, path, files));
  if (certificates.length === 0) throw new AuthoritiesError(`${parameter} = ${path}: no PEM certificate in it`);
  for (const certificate of certificates) {
    const problem = problemOf(certificate);
    if (problem) throw new AuthoritiesError(`${parameter} = ${path}: a certificate in it cannot be read: ${problem}`);
    found.add(certificate);
  }
}

async function addDirectory(path: string, files: Files, found: Set<string>, warnings: string[]): Promise<void> {
  let names: string[];
  try {
    names = (await files.list(path)).sort();
  } catch (error) {
    throw new AuthoritiesError(`smtp_tls_CApath = ${path}: ${reason(error)}`);
  }
  if (names.length > directory_files) {
    throw new AuthoritiesError(`smtp_tls_CApath = ${path}: more than ${directory_files} files in it`);
  }
  let total_bytes = 0;
  for (const name of names) {
    const file = `${path}/${name}`;
    const text = await textInDirectory(file, files, warnings);
    total_bytes += text.length;
    if (total_bytes > authorities_bytes) {
      throw new AuthoritiesError(`smtp_tls_CApath = ${path}: more than ${authorities_bytes} bytes in it`);
    }
    for (const certificate of certificatesOf(text)) {
      const problem = problemOf(certificate);
      if (problem) warnings.push(`${file}: not used as an authority: ${problem}`);
      else found.add(certificate);
    }
  }
}

/** Directories and dangling links are ordinary in such a place; a file that may not be read is worth a word. */
async function textInDirectory(path: string, files: Files, warnings: string[]): Promise<string> {
  try {
    if ((await files.facts(path)).kind !== "file") return "";
    return (await readWhole(files, path, authorityFile_bytes)).bytes.toString("latin1");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") warnings.push(`${path}: not used as an authority: ${reason(error)}`);
    return "";
  }
}

async function textOf(parameter: string, path: string, files: Files): Promise<string> {
  try {
    return (await readWhole(files, path, authorityFile_bytes)).bytes.toString("latin1");
  } catch (error) {
    throw new AuthoritiesError(`${parameter} = ${path}: ${reason(error)}`);
  }
}

function certificatesOf(text: string): string[] {
  const found = text.match(
    /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g,
  );
  return (found ?? []).map((pem) => `${pem.replaceAll("X509 CERTIFICATE", "CERTIFICATE")}\n`);
}

function problemOf(pem: string): string | undefined {
  try {
    new X509Certificate(pem);
    return undefined;
  } catch (error) {
    return reason(error);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
