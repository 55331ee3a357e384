import { TableError } from "../table.ts";
import type { Template, Templates } from "./templates.ts";

/** How the values that a server gives become one answer. */
export interface AnswerForm {
  /** "pgsql:/etc/postfix/x.cf" */
  readonly reference: string;
  readonly templates: Templates;
  /** result_format */
  readonly format: Template;
  /** expansion_limit; 0 for none. */
  readonly limit: number;
  warn(text: string): void;
}

/** The longest answer. */
export const answerLimit_bytes: number = 4 * 1024 * 1024;

/**
 * Gathers values into one answer, joined by commas. Empty ones are reported and left
 * out. More than expansion_limit allows, or than an answer can hold, is a TableError "retry": half an answer would be another one.
 */
export class Answer {
  readonly #form: AnswerForm;
  readonly #key: string;
  readonly #values: string[] = [];
  #size = 0;

  constructor(form: AnswerForm, key: string) {
    this.#form = form;
    this.#key = key;
  }

  /** Null is what a database calls so: nothing. */
  add(value: string | null | undefined): void {
    if (value === null || value === undefined) return;
    const { reference, templates, format, limit, warn } = this.#form;
    if (value === "") return warn(`table "${reference}": empty lookup result for: "${this.#key}" -- ignored`);
    const shown = templates.result(format, value, this.#key);
    if (shown === undefined) return;
    this.#values.push(shown);
    this.#size += shown.length + 1;
    if (limit > 0 && this.#values.length > limit) this.#tooMuch("Expansion limit exceeded");
    if (this.#size > answerLimit_bytes) this.#tooMuch(`the answer is longer than ${answerLimit_bytes} bytes`);
  }

  /** Undefined where nothing was found. */
  text(): string | undefined {
    return this.#values.join(",") || undefined;
  }

  #tooMuch(text: string): never {
    this.#form.warn(`${this.#form.reference}: ${text} for key: '${this.#key}'`);
    throw new TableError("retry", `query error: ${text}`);
  }
}
