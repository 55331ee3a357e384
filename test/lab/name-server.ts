import { createSocket } from "node:dgram";
import { type Answer, decode, encode, RECURSION_AVAILABLE } from "dns-packet";

/**
 * A name server for a few names, run as `node name-server.ts ADDRESS '{"mail.example": "10.0.0.1"}'`.
 * Values are IPv4 addresses, "mx:10:mail.example", or "servfail". It answers NXDOMAIN for every other name.
 */
const [address, table = "{}"] = process.argv.slice(2);
const names = JSON.parse(table) as Record<string, string>;
const socket = createSocket("udp4");

socket.on("message", (message, from) => {
  const query = decode(message);
  const question = query.questions?.[0];
  if (!question) return;
  const value = names[question.name.toLowerCase()];
  const answers: Answer[] = [];
  if (value?.startsWith("mx:") && question.type === "MX") {
    const [, preference, exchange = ""] = value.split(":");
    answers.push({ type: "MX", name: question.name, ttl: 60, data: { preference: Number(preference), exchange } });
  } else if (value && /^\d/.test(value) && question.type === "A") {
    answers.push({ type: "A", name: question.name, ttl: 60, data: value });
  }
  const responseCode = value === undefined ? 3 : value === "servfail" ? 2 : 0;
  const reply = encode({
    type: "response",
    id: query.id ?? 0,
    flags: RECURSION_AVAILABLE | responseCode,
    questions: [question],
    answers,
  });
  socket.send(reply, from.port, from.address);
});

socket.bind(53, address, () => process.stdout.write("ready\n"));
