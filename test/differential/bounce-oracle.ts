/**
 * Debian's Postfix as the oracle for notifications: a private instance whose
 * mail all goes to a server in this process, which refuses, defers or keeps
 * recipients by their names.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the server answers to RCPT, by the beginning of the local part; undefined where it takes the recipient. */
export function replyTo(address: string): string | undefined {
  if (address.startsWith("no"))
    return `550 5.1.1 <${address}>: Recipient address rejected: User unknown in local recipient table`;
  if (address.startsWith("long")) return `550 5.7.1 ${"refused for many reasons ".repeat(12)}${"x".repeat(120)} end`;
  if (address.startsWith("multi")) return "550-5.7.1 first line\r\n550-5.7.1 second line\r\n550 5.7.1 last line";
  if (address.startsWith("later")) return "450 4.2.0 try again later";
  return undefined;
}

export interface Taken {
  readonly from: string;
  readonly to: readonly string[];
  readonly body: string;
}

export interface Sink {
  readonly server: Server;
  readonly taken: Taken[];
}

export async function openSink(port: number): Promise<Sink> {
  const taken: Taken[] = [];
  const server = createServer((socket) => serve(socket, taken));
  server.listen(port, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return { server, taken };
}

function serve(socket: Socket, taken: Taken[]): void {
  let text = "";
  let from = "";
  let to: string[] = [];
  let inData = false;
  const say = (line: string) => socket.write(`${line}\r\n`);
  const command = (line: string): void => {
    const verb = line.slice(0, 4).toUpperCase();
    const path = /<(.*?)>/.exec(line)?.[1] ?? "";
    if (verb === "EHLO") say("250-mx.sink.test\r\n250-8BITMIME\r\n250 SMTPUTF8");
    else if (verb === "MAIL") {
      from = path;
      to = [];
      say("250 2.1.0 Ok");
    } else if (verb === "RCPT") {
      const refusal = replyTo(path);
      if (!refusal) to.push(path);
      say(refusal ?? "250 2.1.5 Ok");
    } else if (verb === "DATA") {
      inData = to.length > 0;
      say(inData ? "354 go" : "554 5.5.1 no valid recipients");
    } else if (verb === "QUIT") {
      say("221 2.0.0 Bye");
      socket.end();
    } else say("250 2.0.0 Ok");
  };
  socket.on("error", () => {});
  socket.setEncoding("latin1");
  say("220 mx.sink.test ESMTP");
  socket.on("data", (chunk) => {
    text += chunk;
    for (;;) {
      const end = text.indexOf(inData ? "\r\n.\r\n" : "\r\n");
      if (end < 0) return;
      const part = text.slice(0, end);
      text = text.slice(end + (inData ? 5 : 2));
      if (inData) {
        inData = false;
        taken.push({ from, to, body: Buffer.from(`${part}\r\n`.replace(/^\.\./gm, "."), "latin1").toString("utf8") });
        say("250 2.0.0 Ok: kept");
      } else command(Buffer.from(part, "latin1").toString("utf8"));
    }
  });
}

export interface Oracle {
  readonly directory: string;
  submit(lines: readonly string[], body: string): Promise<string>;
  flush(): void;
  stop(): void;
}

/** A Postfix that takes mail on `port` and sends all of it to `sinkPort`. */
export function startPostfix(port: number, sinkPort: number, settings: Readonly<Record<string, string>>): Oracle {
  const directory = mkdtempSync(join(tmpdir(), "postern-bounce-"));
  for (const name of ["etc", "queue", "data"]) mkdirSync(join(directory, name));
  const lines = {
    compatibility_level: "3.6",
    queue_directory: join(directory, "queue"),
    data_directory: join(directory, "data"),
    maillog_file: join(directory, "log"),
    maillog_file_prefixes: tmpdir(),
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    relayhost: `[127.0.0.1]:${sinkPort}`,
    mynetworks: "127.0.0.0/8",
    smtpd_peername_lookup: "no",
    alias_maps: "",
    local_recipient_maps: "",
    ...settings,
  };
  const main = Object.entries(lines).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(join(directory, "etc/main.cf"), main.join(""));
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    "pickup unix n - n 60 1 pickup",
    "cleanup unix n - n - 0 cleanup",
    "qmgr unix n - n 300 1 qmgr",
    "rewrite unix - - n - - trivial-rewrite",
    "bounce unix - - n - 0 bounce",
    "defer unix - - n - 0 bounce",
    "trace unix - - n - 0 bounce",
    "verify unix - - n - 1 verify",
    "flush unix n - n 1000? 0 flush",
    "smtp unix - - n - - smtp",
    "error unix - - n - - error",
    "retry unix - - n - - error",
    "anvil unix - - n - 1 anvil",
    "showq unix n - n - - showq",
    "postlog unix-dgram n - n - 1 postlogd",
  ];
  writeFileSync(join(directory, "etc/master.cf"), `${services.join("\n")}\n`);
  execFileSync("chmod", ["755", directory]);
  execFileSync("chown", ["postfix", join(directory, "data")]);
  const postfix = (...args: string[]) =>
    execFileSync("postfix", ["-c", join(directory, "etc"), ...args], { stdio: "ignore" });
  postfix("start");
  return {
    directory,
    submit: (commands, body) => submit(port, commands, body),
    flush: () => postfix("flush"),
    stop() {
      postfix("stop");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Sends MAIL and RCPT lines and a body; resolves to the queue id. */
async function submit(port: number, lines: readonly string[], body: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const replies: string[] = [];
  let wake = (): void => {};
  let buffered = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    buffered += chunk;
    for (let end = buffered.indexOf("\r\n"); end >= 0; end = buffered.indexOf("\r\n")) {
      const line = buffered.slice(0, end);
      buffered = buffered.slice(end + 2);
      if (line[3] === " ") replies.push(line);
    }
    wake();
  });
  const reply = async (): Promise<string> => {
    while (replies.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return replies.shift() ?? "";
  };
  await reply();
  let last = "";
  for (const line of ["EHLO client.test", ...lines, "DATA"]) {
    socket.write(`${line}\r\n`);
    last = await reply();
    if (!/^[23]/.test(last)) throw new Error(`${line}: ${last}`);
  }
  socket.write(`${body.replace(/^\./gm, "..")}.\r\n`);
  last = await reply();
  socket.end("QUIT\r\n");
  const id = /queued as (\w+)/.exec(last)?.[1];
  if (!id) throw new Error(last);
  return id;
}
