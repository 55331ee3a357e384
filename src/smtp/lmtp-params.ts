import type { Param, Params } from "../conf/param.ts";
import { postfixParameters } from "../conf/postfix-parameters.ts";
import { dnsParams } from "../dns/params.ts";
import { tlsParams } from "../tls/params.ts";
import { smtpParams } from "./params.ts";

/** One value is all there is, whatever Postfix's default. */
const alwaysSo: ReadonlySet<string> = new Set(["smtp_per_request_deadline"]);

/**
 * The parameters of deliveries by LMTP: for each smtp_… that Postfix has an lmtp_… of, that one,
 * with Postfix's default for it. The client itself reads smtp_…: lmtpValues() puts one set in the other's place.
 */
const twins: ReadonlyMap<string, { readonly name: string; readonly param: Param<unknown> }> = new Map(
  Object.entries({ ...smtpParams, ...dnsParams, ...tlsParams } as Params).flatMap(([of, param]) => {
    const name = twinOf(of);
    const known = name === undefined ? undefined : postfixParameters().get(name);
    if (name === undefined || known === undefined) return [];
    const fallback = alwaysSo.has(of) ? param.default : known.default;
    const doc = `What ${of} is for deliveries by SMTP.`;
    return [[of, { name, param: { ...param, default: fallback, doc } }] as const];
  }),
);

/** Where LMTP's words are others. */
function twinOf(name: string): string | undefined {
  if (!name.startsWith("smtp_")) return undefined;
  return `lmtp_${name
    .slice("smtp_".length)
    .replace(/^helo_/, "lhlo_")
    .replace(/^discard_ehlo_/, "discard_lhlo_")}`;
}

export const lmtpParams: Params = {
  ...Object.fromEntries([...twins.values()].map(({ name, param }) => [name, param])),
};

/** The same configuration with the values of LMTP where those of SMTP are. */
export function lmtpValues<Conf extends object>(conf: Conf): Conf {
  const values = conf as Readonly<Record<string, unknown>>;
  const changed = [...twins].map(([of, { name }]) => [of, values[name]] as const);
  return Object.freeze({ ...conf, ...Object.fromEntries(changed) });
}

/** The parameter that is meant where the client says smtp_…: a transport's problems are told under the name that was written. */
export function lmtpName(name: string): string {
  return twins.get(name)?.name ?? name;
}
