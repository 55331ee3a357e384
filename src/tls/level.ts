import { type Param, ParamError } from "../conf/param.ts";

/**
 * How much TLS a destination gets, weakest first.
 *
 *   none     no TLS
 *   may      TLS where it is offered; never a reason not to deliver
 *   encrypt  no TLS, no delivery; whoever answers is believed
 *   verify   the certificate is trusted and bears the server's name, which DNS chose
 *   secure   the certificate is trusted and bears the next hop's name, which the configuration chose
 */
export const tlsLevels = ["none", "may", "encrypt", "verify", "secure"] as const;

export type TlsLevel = (typeof tlsLevels)[number];

/** Postfix has these too. Taking one of them for a weaker level would be a downgrade, so they are refused. */
const notYet = ["fingerprint", "dane", "dane-only"];

export function levelOf(word: string): TlsLevel | { readonly error: string } {
  const level = tlsLevels.find((each) => each === word);
  if (level) return level;
  if (notYet.includes(word)) {
    return { error: `security level "${word}" is not available yet; verify and secure are the nearest` };
  }
  return { error: `invalid security level "${word}"` };
}

/** TLS is used where it can be. */
export function usesTls(level: TlsLevel): boolean {
  return level !== "none";
}

/** Nothing is delivered without TLS. */
export function requiresTls(level: TlsLevel): boolean {
  return level !== "none" && level !== "may";
}

/** Nothing is delivered unless the certificate is trusted and bears the right name. */
export function requiresMatch(level: TlsLevel): boolean {
  return level === "verify" || level === "secure";
}

/** A level, or nothing, as the value of a parameter. */
export function tlsLevel(declared: { default: string; since: string; doc: string }): Param<TlsLevel | ""> {
  return {
    ...declared,
    kind: "TLS security level",
    parse(value) {
      if (value === "") return "";
      const level = levelOf(value);
      if (typeof level === "object") throw new ParamError(`${level.error}; known are: ${tlsLevels.join(", ")}`);
      return level;
    },
  };
}
