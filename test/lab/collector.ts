import { createServer, type Server, type Socket } from "node:net";
import { until } from "./until.ts";

/** A message as a server took it. Text and addresses as UTF-8; lines end with CRLF, dots unstuffed. */
export interface Collected {
  /** The MAIL command behind "MAIL FROM:". */
  readonly mail: string;
  /** The RCPT commands behind "RCPT TO:", in their order. */
  readonly rcpt: readonly string[];
  readonly text: string;
}

export interface Collector {
  readonly port: number;
  readonly messages: readonly Collected[];
  /** The first message for which `wanted` holds, as soon as it has come. */
  find(what: string, wanted: (message: Collected) => boolean): Promise<Collected>;
  stop(): Promise<void>;
}

const offers = ["collector", "PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"];

/**
 * An SMTP server that takes all mail and keeps it. `refuse` gives the reply for a recipient
 * that is not taken; undefined takes it.
 */
export async function startCollector(
  refuse: (recipient: string) => string | undefined = () => undefined,
): Promise<Collector> {
  const messages: Collected[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    converse(socket, messages, refuse);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    messages,
    find: (what, wanted) =>
      until(what, () => messages.find(wanted), { limit_s: 30, about: () => JSON.stringify(messages.slice(-3)) }),
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function converse(socket: Socket, messages: Collected[], refuse: (recipient: string) => string | undefined): void {
  let rest = "";
  let mail = "";
  let rcpt: string[] = [];
  let inText = false;
  const say = (reply: string) => socket.write(`${reply}\r\n`);
  const utf8 = (text: string) => Buffer.from(text, "latin1").toString();
  const take = (text: string) => {
    messages.push({ mail, rcpt, text: utf8(text.replaceAll(/^\./gm, "")) });
    inText = false;
    say("250 2.0.0 Ok");
  };
  const command = (line: string) => {
    const [, verb = "", argument = ""] = /^(MAIL FROM:|RCPT TO:|\S+) ?(.*)$/i.exec(line) ?? [];
    switch (verb.toUpperCase()) {
      case "EHLO":
        return say(offers.map((word, at) => `250${at < offers.length - 1 ? "-" : " "}${word}`).join("\r\n"));
      case "MAIL FROM:":
        mail = utf8(argument);
        rcpt = [];
        return say("250 2.1.0 Ok");
      case "RCPT TO:": {
        const refusal = refuse(utf8(argument));
        if (refusal === undefined) rcpt.push(utf8(argument));
        return say(refusal ?? "250 2.1.5 Ok");
      }
      case "DATA":
        inText = rcpt.length > 0;
        return say(inText ? "354 go on" : "554 5.5.1 no recipients");
      case "QUIT":
        return socket.end("221 2.0.0 Bye\r\n");
      default:
        return say("250 2.0.0 Ok");
    }
  };
  socket.setEncoding("latin1").on("error", () => {});
  say("220 collector ESMTP");
  socket.on("data", (piece: string) => {
    rest += piece;
    for (;;) {
      const empty = inText && rest.startsWith(".\r\n");
      const ending = empty ? ".\r\n" : inText ? "\r\n.\r\n" : "\r\n";
      const end = empty ? 0 : rest.indexOf(ending);
      if (end < 0) return;
      const unit = rest.slice(0, end);
      rest = rest.slice(end + ending.length);
      if (inText) take(empty ? "" : `${unit}\r\n`);
      else command(unit);
    }
  });
}
