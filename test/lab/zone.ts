import type { Answer } from "dns-packet";

/**
 * A name's records as a text, several separated by blanks: an IPv4 address, "mx:10:mail.example" ("mx:0:." for
 * none), "srv:PRIORITY:WEIGHT:PORT:TARGET".
 */
export function answersOf(value: string, name: string, type: string): Answer[] {
  const answers: Answer[] = [];
  for (const record of value.split(" ")) {
    const [kind = "", ...fields] = record.split(":");
    const numbers = fields.map(Number);
    const last = (fields.at(-1) ?? "").replace(/^\.$/, "");
    if (kind === "mx" && type === "MX") {
      answers.push({ type: "MX", name, ttl: 60, data: { preference: numbers[0] ?? 0, exchange: last || "." } });
    } else if (kind === "srv" && type === "SRV") {
      const [priority = 0, weight = 0, port = 0] = numbers;
      answers.push({ type: "SRV", name, ttl: 60, data: { priority, weight, port, target: last || "." } });
    } else if (/^\d/.test(record) && type === "A") {
      answers.push({ type: "A", name, ttl: 60, data: record });
    }
  }
  return answers;
}
