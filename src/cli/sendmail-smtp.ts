import { evaluate } from "../conf/evaluate.ts";
import { loadConf } from "../conf/load.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import { createLog } from "../log/log.ts";
import { Submit, SubmitError } from "../pickup/submit.ts";
import { relayParams } from "../relay/params.ts";
import { reply } from "../rfc5321/reply.ts";
import type { Connection, ConnectionEvents } from "../runtime/net.ts";
import { NetworkList } from "../smtpd/networks.ts";
import type { Intake, Transaction } from "../smtpd/ports.ts";
import type { SmtpdRules } from "../smtpd/rules.ts";
import { SmtpServer } from "../smtpd/server.ts";
import type { CommandIo } from "./io.ts";

/**
 * `sendmail -bs`: an SMTP session on standard input and output. Whoever may run sendmail may
 * send to anybody, so nothing restricts recipients; messages go into the maildrop directory,
 * and `250` means that they are on disk there.
 */
export async function sendmailSmtp(io: CommandIo): Promise<number> {
  const { runtime } = io;
  const { settings, problems } = await loadConf(runtime.files, io.directory, {
    declared: relayParams,
    host: runtime.host,
    env: io.env,
  });
  const unreadable = problems.find(({ file }) => !file.endsWith("/master.cf"));
  if (unreadable) {
    io.err(`sendmail: fatal: ${unreadable.file}: ${unreadable.text}\n`);
    return 75;
  }
  const conf = {
    ...evaluate(relayParams, settings),
    smtpd_peername_lookup: false,
    smtpd_forbid_unauth_pipelining: false,
  };
  const { maildrop } = queuePaths(conf.queue_directory);
  const nobody = new NetworkList([], { file: () => "", table: () => raise() });
  const rules: SmtpdRules = {
    relayRestrictions: ["permit"],
    recipientRestrictions: [],
    mynetworks: nobody,
    unlimited: nobody,
    mayBareLf: nobody,
  };
  const server = new SmtpServer({
    conf,
    rules,
    service: "sendmail",
    clock: runtime.clock,
    names: runtime.names,
    log: createLog({
      sink: () => {},
      now: () => runtime.clock.now(),
      service: "smtpd",
      slot: 1,
      tag: conf.syslog_name,
    }),
    ports: {
      classify: () => ({ class: "other" }),
      nextId: () => runtime.random.bytes(5).toString("hex").toUpperCase(),
      freeSpace: () => true,
      open: (transaction) => intake(transaction, io, maildrop),
    },
  });
  const ended = Promise.withResolvers<void>();
  server.take(stdioConnection(io, ended.resolve));
  await ended.promise;
  return 0;
}

function raise(): never {
  throw new Error("no table is asked here");
}

/** One message into the maildrop. */
function intake(transaction: Transaction, io: CommandIo, maildrop: string): Intake {
  const [first] = transaction.recipients;
  const submit = Submit.begin(io.runtime, maildrop, {
    version: 1,
    sender: transaction.sender,
    recipients: transaction.recipients.map(({ address }) => address),
    fullName: "",
    notify: first?.notify,
    ret: transaction.ret,
    envid: transaction.envid,
    crlf: true,
    smtputf8: transaction.smtputf8,
    service: "smtpd",
    gateway: false,
  });
  let failed: unknown;
  let writing: Promise<void> = submit.then(
    () => {},
    (error: unknown) => {
      failed = error;
    },
  );
  return {
    data(bytes) {
      writing = writing.then(async () => {
        if (failed === undefined) await (await submit).data(bytes);
      });
      writing = writing.catch((error: unknown) => {
        failed ??= error;
      });
      return writing;
    },
    async commit() {
      await writing;
      try {
        if (failed !== undefined) throw failed;
        return { kind: "queued", id: await (await submit).finish() };
      } catch (error) {
        if (!(error instanceof SubmitError)) throw error;
        io.err(`sendmail: warning: ${error.message}\n`);
        return { kind: "deferred", reply: reply(451, "4.3.0", "Error: queue file write error") };
      }
    },
    abandon() {
      void submit.then((each) => each.abandon()).catch(() => {});
    },
  };
}

/** Standard input and output as a connection from this host. */
function stdioConnection(io: CommandIo, closed: () => void): Connection {
  let events: ConnectionEvents | undefined;
  let over = false;
  /** While reading is held up: what lets it go on. */
  let held: PromiseWithResolvers<void> | undefined;
  const here = { address: "127.0.0.1", port: 0 };
  const close = (error?: Error): void => {
    if (over) return;
    over = true;
    held?.resolve();
    events?.closed(error);
    closed();
  };
  const unsupported = async (): Promise<never> => {
    throw new Error("no TLS on standard input");
  };
  const read = async (): Promise<void> => {
    for await (const bytes of io.stdin) {
      await held?.promise;
      if (over) return;
      events?.data(bytes);
    }
    await held?.promise;
    if (!over) events?.ended();
  };
  return {
    remote: here,
    local: here,
    listen(listener) {
      events = listener;
      read().catch((error: unknown) => close(error instanceof Error ? error : new Error(String(error))));
    },
    write(bytes) {
      if (!over) io.out(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
      io.flush();
      return true;
    },
    pause() {
      held ??= Promise.withResolvers<void>();
    },
    resume() {
      held?.resolve();
      held = undefined;
    },
    end(bytes) {
      if (bytes !== undefined) this.write(bytes);
      queueMicrotask(close);
    },
    destroy: () => queueMicrotask(close),
    startTls: unsupported,
    acceptTls: unsupported,
  };
}
