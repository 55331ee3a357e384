/** Dates as mail writes them (RFC 5322 section 3.3), the day of the month padded with a space as Postfix does. */

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const two = (number: number): string => (number < 10 ? `0${number}` : String(number));

/** "Mon,  5 Jan 2026 09:00:00 +0000 (UTC)"; `zoneOffset_min` counts minutes east of UTC. The name of another zone is not known here. */
export function formatDate(time_ms: number, zoneOffset_min: number): string {
  const local = new Date(time_ms + zoneOffset_min * 60_000);
  const day = String(local.getUTCDate()).padStart(2);
  const clock = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`;
  const minutes = Math.abs(zoneOffset_min);
  const zone = `${zoneOffset_min < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`;
  const date = `${days[local.getUTCDay()]}, ${day} ${months[local.getUTCMonth()]} ${local.getUTCFullYear()}`;
  return `${date} ${clock} ${zone}${zoneOffset_min === 0 ? " (UTC)" : ""}`;
}

/** formatDate for many messages: the text of a second is made once. */
export class DateText {
  #second = Number.NaN;
  #zone = Number.NaN;
  #text = "";

  of(time_ms: number, zoneOffset_min: number): string {
    const second = Math.floor(time_ms / 1000);
    if (second !== this.#second || zoneOffset_min !== this.#zone) {
      this.#second = second;
      this.#zone = zoneOffset_min;
      this.#text = formatDate(second * 1000, zoneOffset_min);
    }
    return this.#text;
  }
}
