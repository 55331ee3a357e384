import type { Values } from "../conf/param.ts";
import type { ContentLimits } from "../content/content-reader.ts";
import type { MimeProblem } from "../content/mime-structure.ts";
import type { contentParams } from "../content/params.ts";
import type { Maps } from "../table/maps.ts";
import type { cleanupParams } from "./params.ts";

/** One of the tables that are asked about content, under the name that log lines give it. */
export interface CheckMaps {
  readonly parameter: string;
  readonly maps: Maps;
}

/** What is to be done with the content of every message; the same for all of a relay. */
export interface ContentRules {
  readonly primary: CheckMaps;
  readonly mime: CheckMaps;
  readonly nested: CheckMaps;
  readonly body: CheckMaps;
  /** How much of the text of each part is checked; 0: all of it. */
  readonly bodyLimit_bytes: number;
  /** Octets that are taken out, or make a message be refused; undefined: none. */
  readonly strip: ReadonlySet<number> | undefined;
  readonly refuse: ReadonlySet<number> | undefined;
  readonly limits: ContentLimits;
  /** False: everything behind the message's own header is text. */
  readonly parts: boolean;
  /** What is wrong with a message's structure and makes it be refused. */
  readonly watch: ReadonlySet<MimeProblem>;
}

export type ContentConf = Values<typeof cleanupParams & typeof contentParams> & {
  readonly header_size_limit: number;
  readonly line_length_limit: number;
};

/** Undefined where nothing asks for a look at the content: messages then pass without it. */
export function contentRules(
  conf: ContentConf,
  maps: (references: readonly string[]) => Maps,
): ContentRules | undefined {
  const named = (parameter: "header_checks" | "mime_header_checks" | "nested_header_checks" | "body_checks") => ({
    parameter,
    maps: maps(conf[parameter]),
  });
  const [primary, mime, nested] = [named("header_checks"), named("mime_header_checks"), named("nested_header_checks")];
  const body = named("body_checks");
  const strip = octets(conf.message_strip_characters);
  const refuse = octets(conf.message_reject_characters);
  const strict = strictness(conf);
  const headerChecks = !(primary.maps.empty && mime.maps.empty && nested.maps.empty);
  if (!headerChecks && body.maps.empty && strict.size === 0 && !strip && !refuse) return undefined;
  if (headerChecks || strict.size > 0) strict.add("nesting");
  return {
    ...{ primary, mime, nested, body, strip, refuse },
    bodyLimit_bytes: conf.body_checks_size_limit,
    limits: {
      field_bytes: conf.header_size_limit,
      line_bytes: conf.line_length_limit,
      nesting: conf.mime_nesting_limit,
      boundary_bytes: conf.mime_boundary_length_limit,
    },
    parts: !conf.disable_mime_input_processing,
    watch: conf.disable_mime_input_processing ? new Set() : strict,
  };
}

function strictness(conf: ContentConf): Set<MimeProblem> {
  const watch = new Set<MimeProblem>();
  if (conf.strict_8bitmime || conf.strict_7bit_headers) watch.add("8-bit header");
  if (conf.strict_8bitmime || conf.strict_8bitmime_body) watch.add("8-bit text");
  if (conf.strict_mime_encoding_domain) watch.add("encoding");
  return watch;
}

const escapes: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** The octets of a text with the escapes of C: \a \b \f \n \r \t \v, \ddd in octal, and \ before any other character. */
export function octets(text: string): ReadonlySet<number> | undefined {
  if (text === "") return undefined;
  const found = new Set<number>();
  const bytes = Buffer.from(text).toString("latin1");
  for (const [, octal, escaped, plain] of bytes.matchAll(/\\([0-7]{1,3})|\\(.)|(.)/gs)) {
    if (octal !== undefined) found.add(Number.parseInt(octal, 8) & 0xff);
    else if (escaped !== undefined) found.add(escapes[escaped] ?? escaped.charCodeAt(0));
    else if (plain !== undefined) found.add(plain.charCodeAt(0));
  }
  return found;
}
