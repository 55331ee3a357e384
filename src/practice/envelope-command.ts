export interface EnvelopeCommand {
  /** Without angle brackets and source route; "" for the null sender. */
  readonly address: string;
  /** What follows the path, as it was written. */
  readonly parameters: string;
}

/** The argument of MAIL ("FROM:<a@b> SIZE=100") or RCPT ("TO:<a@b>"); undefined where it is malformed. A quoted local part may hold ">". */
export function parseEnvelopeCommand(keyword: "FROM" | "TO", argument: string): EnvelopeCommand | undefined {
  const pattern = /^(FROM|TO):\s?<(?:@[^:>]*:)?((?:"(?:\\.|[^"\\])*"|[^<>"])*)>(?:\s+(.*))?$/is;
  const [, word, address, parameters = ""] = pattern.exec(argument) ?? [];
  if (address === undefined || word?.toUpperCase() !== keyword) return undefined;
  return { address, parameters: parameters.trim() };
}
