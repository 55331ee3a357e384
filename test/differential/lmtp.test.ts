/** Deliveries by LMTP beside Debian's Postfix, over TCP and over Unix sockets. */
import type { Answer, Script } from "../../src/smtp/testing/scripted-server.ts";
import { compareDeliveries, type DeliveryCase, unixSocket } from "./deliver-both.ts";

const offering = (...words: string[]): Answer => ["scripted.test", "PIPELINING", ...words];
const three = ["a", "b", "c"];
/** Answers by the recipient's place in the message. */
const each = (...answers: Answer[]): Script => ({ dot: (index) => answers[index] ?? "250 2.1.5 Ok" });

const cases: Readonly<Record<string, DeliveryCase>> = {
  accepted: { script: {} },
  "accepted for three": { script: each("250 2.0.0 one", "250 2.0.0 two", "250 2.0.0 three"), to: three },
  "accepted without pipelining": { script: { ehlo: ["scripted.test"] }, to: three },
  "one of three refused at the end": { script: each("250 2.1.5 in", "550 5.2.2 full", "250 2.1.5 in"), to: three },
  "one of three put off at the end": { script: each("250 2.1.5 in", "452 4.2.2 full", "250 2.1.5 in"), to: three },
  "all refused at the end": { script: { dot: "554 5.6.0 no" }, to: three },
  "refused at RCPT and at the end": {
    script: {
      ...each("550 5.2.2 full", "250 2.1.5 in"),
      on: { RCPT: (_line, count) => (count === 1 ? "550 5.1.1 nobody" : undefined) },
    },
    to: three,
  },
  "all refused at RCPT": { script: { on: { RCPT: "550 5.1.1 nobody" } }, to: three },
  "all refused at RCPT, and DATA goes on": {
    script: { on: { RCPT: "550 5.1.1 nobody", DATA: "354 go" } },
  },
  "MAIL refused": { script: { on: { MAIL: "550 5.7.1 no" } }, to: three },
  "DATA refused": { script: { on: { DATA: "451 4.3.0 later" } }, to: three },
  "several lines at the end": {
    script: each({ raw: "250-2.0.0 one\r\n250 2.0.0 more\r\n" }, { raw: "550-5.1.1 no\r\n550 5.1.1 more\r\n" }),
    to: ["a", "b"],
  },
  "dropped between the answers": { script: each("250 2.0.0 one", "DROP"), to: three },
  "silent between the answers": {
    script: each("250 2.0.0 one", "SILENCE"),
    conf: { smtp_data_done_timeout: "3s" },
    to: three,
  },
  "LHLO refused": { script: { ehlo: "500 5.5.1 what" } },
  "LHLO put off": { script: { ehlo: "421 4.3.2 closing" } },
  "dropped at LHLO": { script: { ehlo: "DROP" } },
  "silent at LHLO": { script: { ehlo: "SILENCE" }, conf: { smtp_helo_timeout: "3s" } },
  "greeting refused": { script: { greeting: "554 5.7.1 go away" } },
  "greeting refused for good": { script: { greeting: "554 5.7.1 go away" }, conf: { smtp_skip_5xx_greeting: "no" } },
  "a greeting without ESMTP": { script: { greeting: "220 here" } },
  "our own name is no loop": { script: { greeting: "220 relay.test", ehlo: ["relay.test", "PIPELINING"] } },
  "another name of ours": { script: {}, conf: { smtp_helo_name: "other.test" } },
  "larger than SIZE": { script: { ehlo: offering("SIZE 10") } },
  "DSN and SIZE": { script: { ehlo: offering("DSN", "SIZE", "8BITMIME") }, to: ["a", "b"] },
  "keywords discarded": {
    script: { ehlo: offering("SIZE 10") },
    conf: { smtp_discard_ehlo_keywords: "size, silent-discard" },
  },
  "nobody there": { script: "refuse" },
  "as inet:[host]:port": { script: {}, hop: "inet:[127.0.0.1]:PORT" },
  "as host:port": { script: {}, hop: "127.0.0.1:PORT" },
  "as [host]:port": { script: {}, hop: "[127.0.0.1]:PORT" },
  "the second of two": { script: {}, hop: "inet:[127.0.0.1]:1, 127.0.0.1:PORT" },
  "a fallback relay": {
    script: {},
    hop: "inet:[127.0.0.1]:1",
    conf: { smtp_fallback_relay: "[127.0.0.1]:PORT" },
  },
  "a Unix socket": { script: each("250 2.1.5 in", "550 5.2.2 full"), hop: unixSocket, to: ["a", "b"] },
  "a Unix socket that is not there": { script: "refuse", hop: unixSocket },
  "a Unix socket below the queue directory": { script: "refuse", hop: "unix:private/nothing" },
  "a login": {
    script: { ehlo: offering("AUTH PLAIN"), on: { AUTH: "235 2.7.0 in" } },
    conf: { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" },
    password: "user:secret",
  },
  "TLS demanded and not offered": { script: {}, conf: { smtp_tls_security_level: "encrypt" } },
};

compareDeliveries({
  protocol: "lmtp",
  cases,
  conf: { smtp_tcp_port: "24", smtp_skip_quit_response: "no" },
});
