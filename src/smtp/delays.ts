/**
 * Times as delivery lines show them: `delay=0.26, delays=0.05/0.01/0.1/0.1`.
 *
 * Two significant digits, no more decimals than delay_logging_resolution_limit
 * allows, and no trailing zeros, so that log readers see what Postfix writes.
 */

const significantDigits = 2;

/** `seconds` (0 or more) as text; `decimals` is delay_logging_resolution_limit. */
export function formatDelay(seconds: number, decimals: number): string {
  if (!(seconds > 0)) return "0";
  let places = decimals;
  if (seconds >= 1) {
    const whole = Math.floor(seconds);
    const digits = whole < 10 ? 1 : whole < 100 ? 2 : 3;
    places = Math.min(decimals, Math.max(0, significantDigits - digits));
  } else {
    // Below a second, leading zeros are not significant: 0.0123 may show four decimals where the limit allows them.
    let unit = 10 ** -decimals;
    while (seconds >= 10 ** significantDigits * unit) unit *= 10;
    places = Math.max(0, Math.round(-Math.log10(unit)));
  }
  const text = seconds.toFixed(places);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Monotonic milliseconds of one delivery's stations; a station not reached is undefined. */
export interface Stations {
  /** How long the message had been in the queue when it became active. */
  readonly queued_ms: number;
  readonly active_ms: number;
  readonly started_ms: number;
  readonly connected_ms: number | undefined;
  readonly done_ms: number;
}

/** `delay=…, delays=a/b/c/d`: in all; before activity, waiting for its turn, setting up the connection, transferring. */
export function formatDelays(stations: Stations, decimals: number): string {
  const { queued_ms, active_ms, started_ms, connected_ms, done_ms } = stations;
  const before = Math.max(0, queued_ms);
  const total = before + Math.max(0, done_ms - active_ms);
  const waiting = Math.max(0, started_ms - active_ms);
  const setup = connected_ms === undefined ? 0 : Math.max(0, connected_ms - started_ms);
  const transfer = Math.max(0, done_ms - (connected_ms ?? started_ms));
  const show = (ms: number): string => formatDelay(ms / 1000, decimals);
  return `delay=${show(total)}, delays=${show(before)}/${show(waiting)}/${show(setup)}/${show(transfer)}`;
}
