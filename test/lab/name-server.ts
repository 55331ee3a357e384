import { createSocket } from "node:dgram";
import { decode, encode, RECURSION_AVAILABLE } from "dns-packet";
import { answersOf } from "./zone.ts";

/**
 * A name server for a few names, run as `node name-server.ts ADDRESS '{"mail.example": "10.0.0.1"}'`.
 * Values are as zone.ts has them, or "servfail". It answers NXDOMAIN for every other name.
 */
const [address, table = "{}"] = process.argv.slice(2);
const names = JSON.parse(table) as Record<string, string>;
const socket = createSocket("udp4");

socket.on("message", (message, from) => {
  const query = decode(message);
  const question = query.questions?.[0];
  if (!question) return;
  const value = names[question.name.toLowerCase()];
  const answers = answersOf(value ?? "", question.name, question.type);
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
