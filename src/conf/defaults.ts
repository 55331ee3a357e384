import type { Params, Values } from "./param.ts";

/**
 * Values straight from the declarations' defaults, without `$` expansion, for
 * tests: `defaults(smtpParams, { smtp_mail_timeout: "5s" })`. A default that
 * refers to other parameters has to be given where it matters.
 */
export function defaults<P extends Params>(
  params: P,
  written: Partial<Record<keyof P & string, string>> = {},
): Values<P> {
  const values: Record<string, unknown> = {};
  for (const [name, param] of Object.entries(params)) {
    const text = written[name as keyof P & string] ?? (param.default.includes("$") ? "" : param.default);
    try {
      values[name] = param.parse(text);
    } catch {
      values[name] = undefined;
    }
  }
  return Object.freeze(values) as Values<P>;
}
