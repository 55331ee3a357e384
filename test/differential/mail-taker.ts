import { connect, createServer, type Server, type Socket } from "node:net";

/** A message as it arrived. */
export interface Arrived {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly text: string;
}

/** A server that takes whatever comes, one command at a time, and keeps it. */
export class MailTaker {
  readonly arrived: Arrived[] = [];
  #server: Server | undefined;

  /** Resolves with the port of 127.0.0.1 that it listens on. */
  async listen(): Promise<number> {
    const server = createServer((socket) => this.#take(socket)).listen(0, "127.0.0.1");
    this.#server = server;
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    return typeof address === "object" && address ? address.port : 0;
  }

  close(): void {
    this.#server?.close();
  }

  #take(socket: Socket): void {
    let rest = "";
    let sender = "";
    let recipients: string[] = [];
    let inText = false;
    socket.setEncoding("latin1").on("error", () => {});
    socket.write("220 sink ESMTP\r\n");
    socket.on("data", (piece: string) => {
      rest += piece;
      for (;;) {
        const ending = inText ? "\r\n.\r\n" : "\r\n";
        const from = inText && rest.startsWith(".\r\n") ? -2 : rest.indexOf(ending);
        if (from === -1) return;
        const unit = rest.slice(0, Math.max(from, 0));
        rest = rest.slice(from + ending.length);
        if (inText) {
          const text = Buffer.from(`${unit}\r\n`.replace(/^\./gm, ""), "latin1").toString();
          this.arrived.push({ sender, recipients, text: from === -2 ? "" : text });
          inText = false;
          socket.write("250 2.0.0 Ok\r\n");
        } else if (/^mail from:/i.test(unit)) {
          sender = /<(.*?)>/.exec(unit)?.[1] ?? "";
          recipients = [];
          socket.write("250 2.1.0 Ok\r\n");
        } else if (/^rcpt to:/i.test(unit)) {
          recipients.push(Buffer.from(/<(.*)>/.exec(unit)?.[1] ?? "", "latin1").toString());
          socket.write("250 2.1.5 Ok\r\n");
        } else if (/^data/i.test(unit)) {
          inText = true;
          socket.write("354 go on\r\n");
        } else if (/^ehlo/i.test(unit)) {
          socket.write("250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n");
        } else if (/^quit/i.test(unit)) {
          socket.end("221 2.0.0 Bye\r\n");
        } else {
          socket.write("250 2.0.0 Ok\r\n");
        }
      }
    });
  }
}

export interface Sent {
  /** The address to connect from. */
  readonly client: string;
  /** What it calls itself; that of the first message counts. */
  readonly helo?: string;
  readonly sender: string;
  readonly to: readonly string[];
  /** Line ends are CRLF; dots are not stuffed yet. One character a byte. */
  readonly text: string;
}

/** Sends messages to a server at `port`, one after the other on one connection; the replies to the end of each text. */
export async function sendMail(port: number, messages: readonly Sent[]): Promise<string[]> {
  const [first] = messages;
  const socket = connect({ host: "127.0.0.1", port, localAddress: first?.client ?? "127.0.0.1" }).setEncoding("latin1");
  const replies = socket[Symbol.asyncIterator]();
  let buffered = "";
  const reply = async (): Promise<string> => {
    for (;;) {
      const [whole] = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(buffered) ?? [];
      if (whole) {
        buffered = buffered.slice(whole.length);
        return whole;
      }
      const { value, done } = await replies.next();
      if (done) throw new Error("the server closed the connection");
      buffered += value;
    }
  };
  const say = async (command: string): Promise<void> => {
    socket.write(`${command}\r\n`, "latin1");
    const answer = await reply();
    if (!/^[23]/.test(answer)) throw new Error(`${command}: ${answer}`);
  };
  await reply();
  await say(`EHLO ${first?.helo ?? "client.example"}`);
  const last: string[] = [];
  for (const { sender, to, text } of messages) {
    const utf8 = /[^\x00-\x7f]/.test(sender + to.join("")) ? " SMTPUTF8" : "";
    await say(`MAIL FROM:<${Buffer.from(sender).toString("latin1")}>${utf8}`);
    for (const each of to) await say(`RCPT TO:<${Buffer.from(each).toString("latin1")}>`);
    await say("DATA");
    socket.write(`${text.replace(/^\./gm, "..")}.\r\n`, "latin1");
    last.push((await reply()).trim());
  }
  socket.end("QUIT\r\n");
  return last;
}

const day = /(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}(?: \(\w+\))?/g;

/** A text with queue ids and moments of both systems under one name. */
export function withoutMoments(text: string): string {
  return text
    .replace(day, "DATE")
    .replace(/<\d{14}\.\w+@/g, "<STAMP.ID@")
    .replace(/\bid \w+(?=[;\r])/g, "id ID");
}
