import { TableError } from "../table.ts";
import { Answer, type AnswerForm } from "./answer.ts";
import { keyDomains } from "./key-domains.ts";
import type { TableParameters } from "./parameters.ts";
import { type DatabaseTable, type Opening, withinDomains } from "./table-of.ts";
import { type Quote, Templates } from "./templates.ts";

/** What a key is asked with: the query, its pieces quoted as the server that it goes to wants it. */
export type QueryFor = (quote: Quote) => string;

/** Rows of columns, as text. */
export type Rows = readonly (readonly (string | null)[])[];

/**
 * What the SQL tables have in common: query templates, their old form of four
 * parameters, result_format, expansion_limit and domain. `run` sends the query.
 */
export async function sqlTable(
  { reference, parameters, context, part }: Opening,
  run: (query: QueryFor) => Promise<Rows>,
  close: () => void,
): Promise<DatabaseTable> {
  const templates = new Templates();
  const text = parameters.optional("query") ?? oldQuery(parameters);
  const query = templates.add(text, "query", parameters.name);
  for (const piece of unquotedIn(text)) {
    context.warn(`${reference}: query >${text}< contains >${piece}< without the recommended '' quotes`);
  }
  const form: AnswerForm = {
    reference,
    templates,
    format: templates.add(parameters.text("result_format", "%s", { required: true }), "result", parameters.name),
    limit: parameters.number("expansion_limit", 0),
    warn: context.warn,
  };
  const domains = await keyDomains(parameters.text("domain", ""), context, part);
  const find = async (key: string): Promise<string | undefined> => {
    const rows = await run((quote) => templates.query(query, key, quote) ?? "");
    const answer = new Answer(form, key);
    for (const row of rows) for (const value of row) answer.add(value);
    return answer.text();
  };
  return {
    find: withinDomains(domains, (key) => (templates.query(query, key) === undefined ? undefined : find(key))),
    close,
  };
}

/** The query of table, select_field, where_field and additional_conditions; of select_function, in pgsql. */
function oldQuery(parameters: TableParameters): string {
  const called = parameters.optional("select_function");
  if (called) return `SELECT ${called}('%s')`;
  const [table, selected, where] = ["table", "select_field", "where_field"].map((name) => {
    const value = parameters.optional(name);
    if (value === undefined) {
      throw new TableError("config", `${parameters.name}: neither 'query' nor '${name}' parameter defined`);
    }
    return value;
  });
  return `SELECT ${selected} FROM ${table} WHERE ${where}='%s' ${parameters.text("additional_conditions", "")}`;
}

/** Escapes that stand outside plain single quotes: there, quoting keeps nothing out. */
export function unquotedIn(query: string): string[] {
  const found: string[] = [];
  let quote = "";
  let plain = false;
  for (let at = 0; at < query.length; at++) {
    const char = query[at] as string;
    if (quote === "" && (char === "'" || char === '"')) {
      quote = char;
      plain = char === "'" && !/(?:^|\W)e$/i.test(query.slice(Math.max(0, at - 2), at));
    } else if (char === quote) quote = "";
    if (char !== "%") continue;
    const letter = query[++at] ?? "";
    if ((quote === "" || !plain) && /[a-zA-Z0-9]/.test(letter)) found.push(`%${letter}`);
  }
  return found;
}
