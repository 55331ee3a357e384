import { type Param, ParamError } from "../conf/param.ts";

/**
 * By how much one delivery moves a destination's concurrency: a fixed amount,
 * or one that shrinks as the concurrency grows, so that a whole round of
 * deliveries moves it by `base`.
 */
export interface Feedback {
  readonly base: number;
  readonly per: "delivery" | "concurrency" | "sqrt_concurrency";
}

export function feedbackAt({ base, per }: Feedback, window: number): number {
  if (per === "concurrency") return base / window;
  return per === "sqrt_concurrency" ? base / Math.sqrt(window) : base;
}

/** "1", "0.5", "1/8", "1/concurrency", "1/sqrt_concurrency": from 0 to 1. */
export function feedback(declared: Pick<Param<Feedback>, "default" | "since" | "doc">): Param<Feedback> {
  return { ...declared, kind: "feedback", parse: parseFeedback };
}

function parseFeedback(text: string): Feedback {
  const [, numerator, word, divisor] =
    /^\s*(\d*\.?\d+|\d+\.)\s*(?:\/\s*(?:(concurrency|sqrt_concurrency)|(\d*\.?\d+|\d+\.)))?\s*$/.exec(text) ?? [];
  const base = Number(numerator) / (divisor === undefined ? 1 : Number(divisor));
  if (numerator === undefined || !(base >= 0 && base <= 1)) {
    throw new ParamError(`expected a number from 0 to 1, such as 1, 1/8 or 1/concurrency, not "${text}"`);
  }
  return { base, per: word === "concurrency" || word === "sqrt_concurrency" ? word : "delivery" };
}
