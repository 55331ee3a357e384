import { ReplyParser, type ServerReply } from "../../rfc5321/reply-parser.ts";

/** The reply that these lines make, as it comes off the wire. */
export function said(...lines: readonly string[]): ServerReply {
  const parser = new ReplyParser();
  parser.push(Buffer.from(`${lines.join("\r\n")}\r\n`));
  const event = parser.next();
  if (event?.kind !== "reply") throw new Error(`not one reply: ${lines.join(" / ")}`);
  return event;
}
