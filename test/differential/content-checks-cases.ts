import type { Sent } from "./mail-taker.ts";

/**
 * Messages for tables that do what the message says: `X-Do: REJECT go away` in its header, `do: WARN text` in its
 * text; X-Seen and seen: are logged with the table that saw them.
 */
export type CheckCase = Partial<Omit<Sent, "sender">> & {
  /** Nobody gets it: it was discarded, or is held. */
  readonly gone?: "discarded" | "held";
  /** Through an smtpd with a cleanup service of its own, or one whose mail is not checked. */
  readonly through?: "other" | "unchecked";
};

export const tables: Readonly<Record<string, string>> = {
  header: `/^X-Do: *(.*)$/ $1
/^X-Seen:/ WARN primary
/^X-Long:/ WARN long
/^Received: from log-me/ WARN our own
/^Received: from drop-me/ IGNORE
/^X-Empty:/
/^X-Filter: nowhere/ FILTER nowhere:x
/^X-Filter:/ FILTER smtp:[127.0.0.1]:@FILTER@
/^X-Lower: *(.*)/ reject $1
/^To:.*two@folded/ WARN folded
/^X-Odd:.*grün/ WARN eight bits
`,
  mime: `/^Content-Do: *(.*)$/ $1
/^X-Do: *(.*)$/ $1
/^X-Seen:/ WARN mime
/^Content-Type: *application/ WARN an application
/^MIME-Version: 2/ REJECT unheard of
`,
  nested: `/^X-Do: *(.*)$/ $1
/^X-Seen:/ WARN nested
/^Subject: inner/ WARN inner
`,
  body: `/^do: *(.*)$/ $1
/seen/ WARN body
`,
  other: "/^X-Do: *(.*)$/ REPLACE X-Other: $1\n/^Subject: alias/ WARN canonical\n",
  canonical: "you@x.example them@y.example\n",
  "smtp-header": "/^Y-Do: *(.*)$/ $1\n/^Y-Seen:/ WARN primary\n/^X-Long:/ INFO long\n",
  "smtp-mime": "/^Y-Do: *(.*)$/ $1\n/^Y-Seen:/ WARN mime\n/^MIME-Version:/ REPLACE MIME-Version: 1.0 (ours)\n",
  "smtp-nested": "/^Y-Do: *(.*)$/ $1\n/^Y-Seen:/ WARN nested\n",
  "smtp-body": "/^out: *(.*)$/ $1\n/Y-Seen/ WARN body\n",
};

const message = (header: string, body = "body\r\n"): string =>
  `Message-ID: <1@x>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\nFrom: a@b.example\r\n${header}\r\n${body}`;
const does = (action: string): CheckCase => ({ text: message(`X-Before: 1\r\nX-Do: ${action}\r\nX-After: 2\r\n`) });
const bodyDoes = (action: string): CheckCase => ({ text: message("", `before\r\ndo: ${action}\r\nafter\r\n`) });
const line = (length: number, char = "x"): string => char.repeat(length);
const multipart = (type: string, ...parts: string[]): string =>
  message(
    `MIME-Version: 1.0\r\nContent-Type: multipart/${type}; boundary="=_b"\r\n`,
    `preamble seen\r\n${parts.map((part) => `--=_b\r\n${part}`).join("")}--=_b--\r\nepilogue seen\r\n`,
  );

/** Each action in each place, as it should be written and as it should not. */
const actions = [
  ...["DUNNO", "OK", "ok text", "IGNORE", "IGNORE text", "STRIP", "STRIP why", "WARN", "WARN careful", "warn  two"],
  ...["INFO", "INFO for you", "PASS", "PASS trusted", "REJECT", "REJECT no thanks", "REJECT 4.7.5 later"],
  ...["REJECT 5.2.1 other code", "REJECT 2.0.0 odd", "REJECT 550 not a code", "reject small"],
  ...["PREPEND X-New: header", "PREPEND no header", "PREPEND", "PREPEND To: bare", "PREPEND Bcc: kept@x.example"],
  ...["REPLACE X-New: header", "REPLACE no header", "REPLACE", "REPLACE To: bare", "REPLACE Bcc: gone@x.example"],
  ...["FILTER", "FILTER nocolon", "BCC", "BCC nodomain", "BCC extra@x.example"],
  ...["REDIRECT", "REDIRECT nodomain", "REDIRECT other@x.example", "HELLO", "HELLO world", "WARNING x"],
];

const described: Readonly<Record<string, CheckCase>> = {
  "another cleanup service": { text: message("X-Do: REJECT\r\nX-Seen: 1\r\n"), through: "other" },
  "another cleanup service with its own canonical_maps": { text: message("Subject: alias\r\n"), through: "other" },
  "mail that is not checked": { text: message("X-Do: REJECT\r\n", "do: REJECT\r\n"), through: "unchecked" },
  "nothing to do": { text: message("Subject: x\r\n") },
  "an empty result": { text: message("X-Empty: x\r\n") },
  "lower case": { text: message("X-Lower: as it is\r\n") },
  discard: { ...does("DISCARD"), gone: "discarded" },
  "discard with a text": { ...does("DISCARD so long"), gone: "discarded" },
  "discard in the text": { ...bodyDoes("DISCARD"), gone: "discarded" },
  "discard, then reject": { text: message("X-Do: DISCARD\r\nX-Do: REJECT\r\n"), gone: "discarded" },
  hold: { ...does("HOLD"), gone: "held" },
  "hold with a text, twice": { text: message("X-Do: HOLD me\r\nX-Do: HOLD again\r\n"), gone: "held" },
  "hold in the text": { ...bodyDoes("HOLD it"), gone: "held" },
  "hold and redirect": { text: message("X-Do: HOLD\r\nX-Do: REDIRECT r@x.example\r\n"), gone: "held" },
  "hold, then reject": { text: message("X-Do: HOLD\r\nX-Do: REJECT\r\n") },
  "hold, then discard": { text: message("X-Do: HOLD\r\nX-Do: DISCARD\r\n"), gone: "discarded" },
  filter: { to: ["a@x.example", "b@y.example"], text: message("X-Filter: 1\r\n") },
  "filter, then reject": { text: message("X-Filter: 1\r\nX-Do: REJECT\r\n") },
  "two filters": { text: message("X-Filter: nowhere\r\nX-Filter: 1\r\n") },
  "filter and redirect": { text: message("X-Filter: 1\r\nX-Do: REDIRECT r@x.example\r\n") },
  "warn, then reject": { text: message("X-Do: WARN\r\nX-Do: REJECT\r\nX-Seen: not\r\n") },
  "pass, then reject": { text: message("X-Do: PASS\r\nX-Do: REJECT\r\n", "do: REJECT\r\n") },
  "redirect, then reject": { text: message("X-Do: REDIRECT r@x.example\r\nX-Do: REJECT\r\n") },
  "two redirects": { text: message("X-Do: REDIRECT r@x.example\r\nX-Do: REDIRECT s@x.example\r\n") },
  "several recipients redirected": {
    ...{ to: ["a@x.example", "b@x.example", "c@y.example"], text: message("X-Do: REDIRECT r@x.example\r\n") },
  },
  "several bcc": {
    to: ["a@x.example", "b@x.example"],
    text: message("X-Do: BCC c@x.example\r\nX-Do: BCC E@x.example\r\nX-Do: BCC d@x.example\r\n"),
  },
  "bcc of a large message": {
    to: ["a@x.example", "b@x.example"],
    text: message("X-Do: BCC c@x.example\r\nX-Do: BCC d@x.example\r\n", `${line(98)}\r\n`.repeat(2000)),
  },
  "bcc and redirect": { text: message("X-Do: BCC c@x.example\r\nX-Do: REDIRECT d@x.example\r\n") },
  "several prepended": { text: message("X-Do: PREPEND A: 1\r\nX-Do: PREPEND B: 2\r\nX-Do: PREPEND C: 3\r\n") },
  "several recipients, warned": { to: ["a@x.example", "b@x.example"], text: message("X-Do: WARN x\r\n") },
  "the null sender": { text: message("X-Do: WARN x\r\n") },
  "a folded field": {
    text: message("X-Do: WARN\r\n\tnext\r\n  third\r\nTo: one@x.example,\r\n two@folded.example\r\n"),
  },
  "a folded field replaced": { text: message("X-Do: REPLACE X-New: one\r\n\tline\r\nX-Z: 1\r\n") },
  "space before the colon": { text: message("X-Do : WARN x\r\nX-Seen\t:y\r\n") },
  "a long field": { text: message(`X-Long: ${line(300)}\r\n`) },
  "a field beyond the limit": {
    text: message(`X-Long: ${line(900)}\r\n ${line(900)}\r\n\t${line(900)}\r\nX-Z: 1\r\n`),
  },
  "our own Received": { text: message(""), helo: "log-me" },
  "our own Received left out": { text: message(""), helo: "drop-me" },
  "eight bits": { text: message("X-Odd: gr\u00c3\u00bcn\r\n") },
  latin1: { text: message("X-Do: WARN gr\u00fcn\r\n", "do: WARN gr\u00fcn\r\n") },
  "latin1 replaced": { text: message("", "do: REPLACE gr\u00fcn\r\n") },
  "no empty line": { text: "X-Seen: 1\r\nseen text\r\nX-Seen: text\r\n" },
  "no header": { text: "\r\nseen\r\n" },
  "no text": { text: "X-Seen: 1\r\n" },
  nothing: { text: "" },
  "text without header checks": { text: message("", "X-Seen: in text\r\nX-Do: REJECT\r\n") },
  "a mailbox line": { text: "From me\r\nX-Seen: 1\r\n\r\nbody\r\n" },
  "an empty line in the text": { text: message("", "\r\n\r\nseen\r\n\r\n") },
  "a long line": { text: message("", `${line(2500)}seen${line(100)}\r\n`) },
  "a long line, begun with an action": { text: message("", `do: WARN ${line(3000)}\r\nseen\r\n`) },
  "a long line replaced in the middle": { text: message("", `${line(2048)}do: REPLACE y\r\nz\r\n`) },
  "a long line ignored at its end": { text: message("", `${line(2048)}do: IGNORE\r\nz\r\n`) },
  "a long line prepended in the middle": { text: message("", `${line(2048)}do: PREPEND y\r\nz\r\n`) },
  "text beyond the size limit": { text: message("", `${`${line(98)}\r\n`.repeat(20)}seen late\r\n`) },
  "text just inside the size limit": { text: message("", `${`${line(98)}\r\n`.repeat(9)}seen now\r\n`) },
  "a dot": { text: message("", ".do: WARN dotted\r\n.x\r\n") },
  "mime headers of the message": {
    text: message("MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Do: WARN x\r\nX-Seen: 1\r\n"),
  },
  "a mime version": { text: message("MIME-Version: 2.0\r\n") },
  parts: {
    text: multipart("mixed", "X-Seen: 1\r\n\r\nseen\r\n", "Content-Type: application/x\r\n\r\nseen\r\n"),
  },
  "a part replaced": { text: multipart("mixed", "X-Do: REPLACE X-New: 1\r\nX-B: 2\r\n\r\nx\r\n") },
  "a part stripped": { text: multipart("mixed", "X-Do: STRIP it\r\nX-B: 2\r\n\r\nx\r\n") },
  "a part ignored": { text: multipart("mixed", "X-Do: IGNORE\r\nX-B: 2\r\n\r\nx\r\n") },
  "a part prepended": { text: multipart("mixed", "X-Do: PREPEND X-A: 1\r\nX-B: 2\r\n\r\nx\r\n") },
  "a part rejected": { text: multipart("mixed", "X-Do: REJECT a part\r\n\r\nx\r\n") },
  "a part without a header": { text: multipart("mixed", "\r\nX-Seen: text\r\n") },
  "a part without an empty line": { text: multipart("mixed", "X-Seen: 1\r\nseen text\r\n") },
  "a message inside": {
    text: multipart(
      "mixed",
      "Content-Type: message/rfc822\r\n\r\nX-Seen: 1\r\nSubject: inner\r\nMIME-Version: 2.0\r\n\r\nseen\r\n",
    ),
  },
  "a digest": {
    text: multipart("digest", "\r\nX-Seen: 1\r\nSubject: inner\r\n\r\nseen\r\n", "\r\nX-Seen: 2\r\n\r\n"),
  },
  "a message as the message": {
    text: message(
      "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n",
      "X-Seen: 1\r\nSubject: inner\r\n\r\nseen\r\n",
    ),
  },
  "message/global": {
    text: message("MIME-Version: 1.0\r\nContent-Type: message/global\r\n", "X-Seen: 1\r\n\r\nseen\r\n"),
  },
  "message/partial": {
    text: message("MIME-Version: 1.0\r\nContent-Type: message/partial; id=1\r\n", "X-Seen: 1\r\n\r\nseen\r\n"),
  },
  "an unquoted boundary with a comment": {
    text: message(
      "MIME-Version: 1.0\r\nContent-Type: Multipart/Mixed (a (nested) comment); charset=x;\r\n boundary=b\r\n",
      "--b\r\nX-Seen: 1\r\n\r\nseen\r\n--b-- cruft\r\nX-Seen: no\r\n",
    ),
  },
  "two boundaries": {
    text: message(
      'Content-Type: multipart/mixed; boundary="a"; boundary="c d"\r\n',
      "--a\r\nX-Seen: 1\r\n\r\n--c d\r\nX-Seen: 2\r\n\r\n--a\r\nX-Seen: 3\r\n\r\n--a--\r\n",
    ),
  },
  "a boundary that is not closed": {
    text: message(
      'Content-Type: multipart/mixed; boundary="a"\r\n',
      '--a\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nX-Seen: 1\r\n\r\n--a\r\nX-Seen: 2\r\n\r\n--b\r\nX-Seen: no\r\n',
    ),
  },
  "a boundary that is a beginning of another": {
    text: message(
      'Content-Type: multipart/mixed; boundary="a"\r\n',
      "--abc\r\nX-Seen: 1\r\n\r\n--a\r\nX-Seen: 2\r\n\r\n-- a\r\nX-Seen: no\r\n",
    ),
  },
  "nested too deep": {
    text: message(
      'Content-Type: multipart/mixed; boundary="b0"\r\n',
      Array.from(
        { length: 8 },
        (_, i) => `--b${i}\r\nContent-Type: multipart/mixed; boundary="b${i + 1}"\r\n\r\n`,
      ).join(""),
    ),
  },
  "a body part is checked from its own beginning": {
    text: multipart("mixed", `\r\n${`${line(98)}\r\n`.repeat(15)}seen late\r\n`, "\r\nseen early\r\n"),
  },
};

/** What can be said of mail on its way out, and some of what cannot. */
const outgoing = [
  ...["DUNNO", "ok", "IGNORE", "STRIP", "STRIP why", "WARN", "WARN careful", "INFO for you", "PREPEND X-New: header"],
  ...["PREPEND no header", "PREPEND", "REPLACE X-New: header", "REPLACE no header", "REPLACE", "REJECT not here"],
  ...["DISCARD", "HOLD", "FILTER smtp:x", "BCC a@x.example", "HELLO world"],
];

export function writtenCases(): [string, CheckCase][] {
  return [
    [
      "what goes out, in parts",
      {
        text: multipart(
          "mixed",
          "Y-Seen: 1\r\nY-Do: REPLACE Y-New: 1\r\n\r\nout: REPLACE x\r\nY-Seen: text\r\n",
          "Content-Type: message/rfc822\r\n\r\nY-Seen: 2\r\nY-Do: STRIP\r\n folded\r\n\r\n.\r\nout: PREPEND .dot\r\n",
        ),
      },
    ],
    [
      "long lines on the way out",
      { text: message(`X-Long: ${line(1500)}\r\n`, `${line(2048)}out: REPLACE y\r\nz\r\n`) },
    ],
    ...outgoing.flatMap((action): [string, CheckCase][] => [
      [`outgoing header: ${action}`, { text: message(`X-Before: 1\r\nY-Do: ${action}\r\nX-After: 2\r\n`) }],
      [`outgoing body: ${action}`, { text: message("", `before\r\nout: ${action}\r\nafter\r\n`) }],
    ]),
    ...Object.entries(described),
    ...actions.map((action): [string, CheckCase] => [`header: ${action}`, does(action)]),
    ...actions.map((action): [string, CheckCase] => [`body: ${action}`, bodyDoes(action)]),
  ];
}
