/**
 * The floors of the house: a room of src/ imports from lower floors, or from itself. The table
 * in docs/architecture.md says the same, with what each room holds; a test keeps the two equal.
 */
export const floors: Readonly<Record<string, number>> = {
  runtime: 0,
  log: 1,
  conf: 2,
  rfc5321: 2,
  rfc5322: 2,
  table: 3,
  sasl: 3,
  oauth2: 3,
  dns: 3,
  advice: 3,
  tls: 4,
  content: 4,
  queue: 4,
  routing: 4.5,
  smtpd: 5,
  pickup: 5,
  cleanup: 5,
  qmgr: 5,
  smtp: 5,
  bounce: 5,
  relay: 6,
  dashboard: 6,
  practice: 6,
  master: 7,
  check: 7.5,
  setup: 7.75,
  cli: 8,
};
