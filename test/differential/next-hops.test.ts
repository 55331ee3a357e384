/**
 * Which server a delivery ends at, beside Debian's Postfix: several next hops, fallback relays, mail that would
 * come back to this host, and best_mx_transport.
 */
import { compareDeliveries, type DeliveryCase } from "./deliver-both.ts";

const nobody = "[127.0.0.1]:1";
const here = "[127.0.0.1]";
const fallback = "[127.0.0.1]:PORT";
const rcpt = (answer: string) => ({ on: { RCPT: answer } });

const cases: Readonly<Record<string, DeliveryCase>> = {
  "the second of two next hops": { script: {}, hop: `${nobody}, ${fallback}` },
  "the third of three, in blanks": { script: {}, hop: `${nobody} ${nobody}\t${fallback}` },
  "nobody at any of them": { script: "refuse", hop: `${nobody}, [127.0.0.1]:2` },
  "a fallback relay when nobody is there": { script: {}, hop: nobody, conf: { smtp_fallback_relay: fallback } },
  "a fallback relay behind several next hops": {
    script: {},
    hop: `${nobody}, [127.0.0.1]:2`,
    conf: { smtp_fallback_relay: `[127.0.0.1]:3, ${fallback}` },
  },
  "a fallback relay that refuses": {
    script: rcpt("550 5.7.1 not here"),
    hop: nobody,
    conf: { smtp_fallback_relay: fallback },
  },
  "a fallback relay that puts off": {
    script: rcpt("450 4.7.1 later"),
    hop: nobody,
    conf: { smtp_fallback_relay: fallback },
  },
  "a fallback relay where nobody is": { script: "refuse", hop: nobody, conf: { smtp_fallback_relay: "[127.0.0.1]:2" } },
  "no fallback relay for what is refused for good": {
    script: rcpt("550 5.1.1 nobody"),
    conf: { smtp_fallback_relay: nobody },
  },
  "a fallback relay for what is put off": { script: rcpt("450 4.2.1 later"), conf: { smtp_fallback_relay: nobody } },
  "mail for this host": { script: "refuse", hop: here },
  "mail for this host, for two": { script: "refuse", hop: here, to: ["a", "b"] },
  "mail for a proxy of this host": { script: "refuse", hop: "[192.0.2.5]" },
  "this host on another port is no loop": { script: {} },
  "no fallback relay for mail that comes back": { script: {}, hop: here, conf: { smtp_fallback_relay: fallback } },
  "this host behind another next hop": { script: "refuse", hop: `${nobody}, ${here}` },
  "this host as the relay host": { script: "refuse", hop: here, conf: { relayhost: here } },
  "this host as the fallback relay": { script: "refuse", hop: nobody, conf: { smtp_fallback_relay: here } },
  best_mx_transport: { script: "refuse", hop: here, conf: { best_mx_transport: "hole:gone" } },
  "best_mx_transport for two": { script: "refuse", hop: here, conf: { best_mx_transport: "hole" }, to: ["a", "b"] },
  "no best_mx_transport for the relay host": {
    script: "refuse",
    hop: here,
    conf: { best_mx_transport: "hole", relayhost: here },
  },
  "no best_mx_transport where nobody is": { script: "refuse", hop: nobody, conf: { best_mx_transport: "hole" } },
};

compareDeliveries({
  protocol: "smtp",
  cases,
  conf: {},
  mainCf: { proxy_interfaces: "192.0.2.5" },
  masterCf: ["hole unix - - n - - discard"],
  self: ["127.0.0.1", "192.0.2.5"],
});
