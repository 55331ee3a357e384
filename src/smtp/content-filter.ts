/**
 * Header and body checks of what goes out (smtp_header_checks and its like): fields and lines that tables speak of
 * are left out, replaced, preceded by others, or logged; everything else goes out byte for byte. What is in the queue
 * stays as it is. Postfix: header_body_checks(3).
 *
 * push()* -> end(), for one transfer of one message. Both reject with a TableError where a table cannot tell.
 */
import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import { emptyAnswer, parseAnswer, shown, shownText_bytes, unusable, written } from "../content/action.ts";
import { type ContentField, type ContentLimits, type ContentLine, ContentReader } from "../content/content-reader.ts";
import type { contentParams } from "../content/params.ts";
import type { Log } from "../log/log.ts";
import type { Answer, Maps } from "../table/maps.ts";
import type { smtpParams } from "./params.ts";

type OutgoingConf = Values<typeof contentParams> &
  Pick<Values<typeof globalParams>, "header_size_limit" | "line_length_limit"> &
  Pick<
    Values<typeof smtpParams>,
    "smtp_header_checks" | "smtp_mime_header_checks" | "smtp_nested_header_checks" | "smtp_body_checks"
  >;

interface CheckMaps {
  readonly parameter: string;
  readonly maps: Maps;
}

/** What is checked on the way out; the same for every message of a transport. */
export interface OutgoingRules {
  readonly primary: CheckMaps;
  readonly mime: CheckMaps;
  readonly nested: CheckMaps;
  readonly body: CheckMaps;
  readonly limits: ContentLimits;
}

/** Undefined where nothing is to be checked. */
export function outgoingRules(
  conf: OutgoingConf,
  maps: (references: readonly string[]) => Maps,
): OutgoingRules | undefined {
  const named = (parameter: keyof OutgoingConf & `smtp_${string}_checks`): CheckMaps => ({
    parameter,
    maps: maps(conf[parameter]),
  });
  const rules = {
    primary: named("smtp_header_checks"),
    mime: named("smtp_mime_header_checks"),
    nested: named("smtp_nested_header_checks"),
    body: named("smtp_body_checks"),
  };
  if (Object.values(rules).every((each) => each.maps.empty)) return undefined;
  return {
    ...rules,
    limits: {
      field_bytes: conf.header_size_limit,
      line_bytes: conf.line_length_limit,
      nesting: conf.mime_nesting_limit,
      boundary_bytes: conf.mime_boundary_length_limit,
    },
  };
}

const shownContent_bytes = 60;
const newline = 10;
const lineEnd = Buffer.from("\r\n");

export class ContentFilter {
  readonly #rules: OutgoingRules;
  readonly #id: string;
  readonly #log: Log;
  readonly #reader: ContentReader;
  #out: Buffer[] = [];

  constructor(rules: OutgoingRules, id: string, log: Log) {
    this.#rules = rules;
    this.#id = id;
    this.#log = log;
    this.#reader = new ContentReader(
      { limits: rules.limits, mime: true },
      {
        field: (field) => this.#field(field),
        endOfHeader: () => {},
        line: (line) => this.#line(line),
      },
    );
  }

  /** What goes out for a piece of the body. */
  async push(chunk: Buffer): Promise<Buffer> {
    await this.#reader.add(chunk);
    return this.#taken();
  }

  /** What still goes out when the body has ended. */
  async end(): Promise<Buffer> {
    await this.#reader.finish();
    return this.#taken();
  }

  #taken(): Buffer {
    const bytes = Buffer.concat(this.#out);
    this.#out = [];
    return bytes;
  }

  #field({ class: class_, key, raw }: ContentField): Answer<void> {
    return this.#ask(this.#rules[class_], "header", key, raw);
  }

  #line({ text, raw }: ContentLine): Answer<void> {
    return this.#ask(this.#rules.body, "body", text, raw);
  }

  #ask(checks: CheckMaps, thing: "header" | "body", key: Buffer, raw: Buffer): Answer<void> {
    const done = (value: Buffer | undefined): void => {
      if (value?.length === 0) throw emptyAnswer(checks.parameter, key);
      const kept = value ? this.#act(value, thing, checks.parameter, key, raw) : raw;
      if (kept) this.#out.push(kept);
    };
    const answer = checks.maps.empty ? undefined : checks.maps.findBytes(key);
    return answer instanceof Promise ? answer.then(done) : done(answer);
  }

  #act(value: Buffer, thing: "header" | "body", map: string, near: Buffer, raw: Buffer): Buffer | undefined {
    const answer = parseAnswer(value);
    const said = (action: string): void => {
      const text = answer.text === "" ? "" : `: ${shown(answer.text, shownText_bytes)}`;
      this.#log.info(`${this.#id}: ${action}: ${thing} ${shown(near, shownContent_bytes)}${text}`);
    };
    switch (answer.action) {
      case "DUNNO":
      case "OK":
        return raw;
      case "IGNORE":
        return undefined;
      case "STRIP":
        said("strip");
        return undefined;
      case "WARN":
        said("warning");
        return raw;
      case "INFO":
        said("info");
        return raw;
      case "PREPEND":
      case "REPLACE": {
        const why = unusable(answer, thing, map);
        if (why !== undefined) {
          this.#log.warning(why);
          return raw;
        }
        said(answer.action.toLowerCase());
        const text = written(answer.text, thing);
        if (answer.action === "PREPEND") return Buffer.concat([text, lineEnd, raw]);
        return raw.at(-1) === newline ? Buffer.concat([text, lineEnd]) : text;
      }
      default:
        this.#log.warning(`unsupported command in ${map} map: ${shown(answer.value, shownText_bytes)}`);
        return raw;
    }
  }
}
