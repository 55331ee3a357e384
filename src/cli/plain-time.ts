/** Times as people say them. */

const units = [
  ["day", "days", 86_400_000],
  ["h", "h", 3_600_000],
  ["min", "min", 60_000],
  ["s", "s", 1000],
] as const;

/** "3 days", "2 h", "5 min", "12 s": in the largest unit that there is at least one of. */
export function durationText(duration_ms: number): string {
  for (const [one, many, unit_ms] of units) {
    const count = Math.floor(duration_ms / unit_ms);
    if (count >= 1) return `${count} ${count === 1 ? one : many}`;
  }
  return "0 s";
}

/** "10:22:31", or "Nov 24 10:22" where that is on another day. */
export function momentText(time_ms: number, now_ms: number, zoneOffset_min: (time_ms: number) => number): string {
  const local = (at_ms: number): string => new Date(at_ms + zoneOffset_min(at_ms) * 60_000).toISOString();
  const text = local(time_ms);
  if (text.slice(0, 10) === local(now_ms).slice(0, 10)) return text.slice(11, 19);
  return `${months[Number(text.slice(5, 7)) - 1]} ${Number(text.slice(8, 10))} ${text.slice(11, 16)}`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "at 10:22:31, in 4 min", or "now". */
export function untilText(time_ms: number, now_ms: number, zoneOffset_min: (time_ms: number) => number): string {
  if (time_ms <= now_ms) return "now";
  return `at ${momentText(time_ms, now_ms, zoneOffset_min)}, in ${durationText(time_ms - now_ms)}`;
}

/** Thousands apart: 1,204. */
export const numberText = (count: number): string => String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ",");

/** "1 message", "1,204 messages". */
export const countText = (count: number, noun: string): string =>
  `${numberText(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Lines of at most `width` columns, each behind `indent`; a word that is longer stands alone. */
export function wrapped(text: string, indent: string, width = 78): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line !== "" && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(indent + line);
  return lines;
}

/** What others have written, without what a terminal would obey. */
export const printable = (text: string): string =>
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "?");
