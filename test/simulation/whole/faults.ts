import type { Fault } from "../faults.ts";

/**
 * Planted faults above the queue: in the SMTP server, cleanup, the SMTP client, notifications, and what a relay does when it
 * comes, goes and is replaced. The list was made before the oracle of the whole relay, from the promises in docs/queue.md, from
 * RFC 5321 and 2920, and from what other mail systems are known to have done. See ../faults.ts for how they are planted.
 */
const fault = (name: string, why: string, file: string, text: string, becomes: string): Fault => {
  return { name, why, edits: [{ file, text, becomes }] };
};

const submission = "relay/submission.ts";
const relayProcess = "relay/relay-process.ts";
const dialogue = "smtpd/dialogue.ts";
const transaction = "smtp/transaction.ts";
const exchange = "smtp/exchange.ts";
const attempt = "smtp/attempt.ts";
const finish = "qmgr/finish.ts";
const plan = "bounce/plan.ts";

export const wholeFaults: readonly Fault[] = [
  fault(
    "250 before the commit",
    "the client is answered while its message is still on its way to the disk",
    submission,
    "const refusal = await store(result.messages, undefined, parts);",
    "void store(result.messages, undefined, parts);\n  const refusal = undefined as Reply | undefined;",
  ),
  fault(
    "a refusal of the queue is dropped on the way to the client",
    "the client is told 250, and the disk was full",
    submission,
    'return error.kind === "full" ? noRoom : tryLater;',
    "return undefined;",
  ),
  fault(
    "a message that was cut off is queued",
    "the client went away in the middle of a message, and what there was of it goes out",
    "smtpd/session.ts",
    'this.#mode = "over";\n    this.#incoming?.abandon();\n    this.#input.clear();',
    'this.#mode = "over";\n    void this.#incoming?.commit()?.catch(() => {});\n    this.#input.clear();',
  ),
  {
    name: "a transaction survives RSET",
    why: "recipients of a transaction that was taken back get the next message",
    edits: [
      {
        file: dialogue,
        text: "if (command.words.length > 0) return this.#fail(replies.rsetSyntax);\n        this.#reset();",
        becomes: "if (command.words.length > 0) return this.#fail(replies.rsetSyntax);",
      },
      {
        file: dialogue,
        text: "if (this.#open) return this.#fail(replies.nestedMail);",
        becomes: "if (this.#open) return mailOk;",
      },
    ],
  },
  fault(
    "a refused recipient is kept",
    "somebody whom the client was told that he gets nothing gets the message",
    dialogue,
    "this.#logReject(refusal, undefined, address);",
    "this.#logReject(refusal, undefined, address);\n      if (checking.vrfy === undefined) this.#accept(checking.recipient);",
  ),
  fault(
    "commands are read twice",
    "what comes while a line is incomplete is put behind what was read already",
    "smtpd/client-input.ts",
    "Buffer.concat([this.rest as Buffer, bytes])",
    "Buffer.concat([this.#bytes, bytes])",
  ),
  fault(
    "a piece that has to wait is forgotten",
    "what comes while the queue is busy with a large message is left out of it",
    "smtpd/incoming.ts",
    "else if (this.#waiting) this.#pieces.push(piece);",
    "else if (this.#waiting) return;",
  ),
  fault(
    "a line end that the network cuts in two is no line end",
    "CR in one segment, LF in the next: the end of data behind it is not seen",
    "rfc5321/dot.ts",
    'if (this.#crs > 0 || this.#place === "dot") {',
    'this.#crs = 0;\n    if (this.#place === "dot") {',
  ),
  fault(
    "recipients of two domains are taken for one",
    "equal names before the @: one of them gets nothing",
    "cleanup/envelopes.ts",
    "if (this.#keys.has(aliased ? plain : whole)) return false;",
    'if (this.#keys.has(address.replace(/@.*/, ""))) return false;\n    this.#keys.add(address.replace(/@.*/, ""));',
  ),
  fault(
    "dots are not doubled",
    "a line that begins with a dot loses it, or ends the message",
    "smtp/body.ts",
    "byte === lf || byte === 0 || (byte === dot && column === 0) || column >= limit",
    "byte === lf || byte === 0 || column >= limit",
  ),
  fault(
    "done at 354",
    "recipients count as delivered to before the message was sent",
    transaction,
    'if (this.#accepted.length > 0) return this.#go("dot", "body");',
    'if (this.#accepted.length > 0) return this.#go("dot", "body", this.#settleAccepted(reply, "data", true));',
  ),
  fault(
    "a lost reply is a refusal",
    "the sender is told that it failed, and it may have arrived",
    exchange,
    "const { dsn, reason } = breakText(why, server, stage);",
    'const { reason } = breakText(why, server, stage);\n  const dsn = "5.4.2";',
  ),
  fault(
    "a lost reply is a success",
    "the message is gone, and may never have arrived",
    exchange,
    "if (open.length > 0) ledger.fail(open, broken(end.broken, session.server), final, place);",
    'if (open.length > 0) ledger.deliver(open, "2.0.0", "250 ok", true, place);',
  ),
  fault(
    "replies of a group are laid to the wrong recipients",
    "the one who was refused counts as delivered to, the other is returned",
    transaction,
    "const recipient = this.#answered++;",
    "const recipient = this.#rcpts.length - 1 - this.#answered++;",
  ),
  fault(
    "half a message is sent as a whole one",
    "the final dot goes out behind a body that could not be read to its end",
    "smtp/transfer.ts",
    "this.#sendLarge().catch((error: unknown) => this.#cannotSend(error));",
    "this.#sendLarge().catch(() => {\n        this.#sent();\n        this.#session.facts.dialogue.send(Buffer.concat([Buffer.from('\\r\\n'), this.#finalDot()]));\n      });",
  ),
  fault(
    "a session is used for another destination",
    "mail goes over a connection that was kept for somebody else",
    attempt,
    "this.#poolKey = `${message.request.route.nexthop}\\0${this.#sender()}`;",
    'this.#poolKey = "any";',
  ),
  fault(
    "no RSET after a refusal",
    "the next message over a kept session meets the transaction of the one before",
    attempt,
    "if (!end.resetDue) {",
    "if (end !== undefined) {",
  ),
  fault(
    "a notification that cannot be written is left out",
    "recipients are given up in silence",
    finish,
    "decided = keepFailures(conclusion, clock.now() + conf.minimal_backoff_time * 1000);",
    "",
  ),
  fault(
    "notifications are taken for one another",
    "two messages' bounces have the same source, and the second counts as stored already",
    "bounce/notifications.ts",
    "return `bounce:${id}:${kind}:${first}${copy",
    "return `bounce:${id.length}:${kind}:${first}${copy",
  ),
  fault(
    "one refused recipient is not worth a notification",
    "an off-by-one, and nobody is told",
    plan,
    "if (wanted.length > 0) {",
    "if (wanted.length > 1) {",
  ),
  fault(
    "a notification has a sender",
    "bounces are answered with bounces",
    plan,
    'planned.push({ kind, sender: "", to: envelope.sender,',
    "planned.push({ kind, sender: envelope.sender, to: envelope.sender,",
  ),
  fault(
    "a reload forgets what came while the successor waited",
    "mail that was taken before the predecessor had handed over is not tried",
    "relay/relay.ts",
    "this.scheduler.start();\n    for (const envelope of waiting) this.scheduler.enqueue(envelope);",
    "this.scheduler.start();",
  ),
  fault(
    "what a dying predecessor had is not taken back",
    "its mail waits for the next start",
    relayProcess,
    "await this.#takeBack().catch((error: unknown) => this.#log.warning(`cannot take back mail: ${String(error)}`));",
    "",
  ),
  fault(
    "a successor takes what its predecessor is delivering",
    "the mail of a relay that is alive is taken back",
    "relay/gone-owners.ts",
    "if (owner === store.owner || !locks.isGone(ownerLock(queueDirectory, owner))) continue;",
    "if (owner === store.owner) continue;",
  ),
  {
    name: "a failing relay does not say what it refused",
    why: "what was refused comes back with the file, and is delivered",
    edits: [
      {
        file: relayProcess,
        text: "const noted = noteRefused(files, paths.queue, batches).then((missing) => missing.length === 0);",
        becomes: "const noted = Promise.resolve(true);",
      },
      {
        file: relayProcess,
        text: 'const told = Promise.all([Promise.race([noted, late]), say({ kind: "refused", batches })]);',
        becomes: "const told = Promise.all([Promise.race([noted, late])]);",
      },
    ],
  },
  fault(
    "a maildrop file that was put off is removed",
    "what sendmail was told is safe waits for the queue to have room, and is gone",
    "pickup/pickup.ts",
    'if (result.kind === "retry") return this.#later(name, result.reason);',
    'if (result.kind === "retry") return this.#remove(path, name).then(() => "done");',
  ),
  fault(
    "a refusal is told before it is noted",
    "a relay that dies in between leaves mail behind that its client was told is refused",
    "queue/coordinator.ts",
    "this.#note(number).then(end, () => end(false));",
    "void this.#note(number);\n    end(true);",
  ),
];
