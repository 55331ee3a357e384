import type { Cleanup, CleanupInput, CleanupMessage, CleanupResult } from "../cleanup/cleanup.ts";
import type { LocalClients } from "../cleanup/local-clients.ts";
import type { Log } from "../log/log.ts";
import type { Submission, SubmissionIntake, SubmissionResult } from "../pickup/pickup.ts";
import type { Envelope } from "../queue/message.ts";
import { type NewMessage, QueueError, type QueueStore } from "../queue/store.ts";
import { type Reply, reply } from "../rfc5321/reply.ts";
import type { Intake, IntakeResult, Transaction } from "../smtpd/ports.ts";
import type { Answer } from "../table/maps.ts";
import type { RelayConf } from "./params.ts";
import type { RejectedSubmission } from "./rejected.ts";

/**
 * From a message that came in to one that is in the queue: cleanup, then the store, then the scheduler.
 * The one place where "taken" is decided: nobody is told so before the store has said that it is durable.
 */
export interface SubmissionParts {
  readonly cleanup: Cleanup;
  readonly store: Pick<QueueStore, "acceptAll" | "nextId">;
  /** Waited for before a message is accepted, where there is something to wait for. */
  readonly admission: () => Promise<void> | undefined;
  /** Called with what was accepted, after that. */
  readonly accepted: (envelope: Envelope) => void;
  /** Called when the store answers nothing any more. */
  readonly failed: (error: unknown) => void;
  readonly log: Log;
}

/** What is done with mail that comes in one way and not with other mail. */
export interface IntakeFacts {
  /** receive_override_options */
  readonly overrides?: RelayConf["receive_override_options"];
  /** content_filter */
  readonly filter?: string;
}

/** What decides whether headers of a client's mail are completed. */
export interface ClientFacts extends IntakeFacts {
  readonly localClients: LocalClients;
  readonly onThisHost: (address: string) => boolean;
  readonly inMyNetworks: (name: string, address: string) => boolean;
}

const noRoom = reply(452, "4.3.1", "Insufficient system storage");
const tryLater = reply(451, "4.3.0", "Error: queue file write error");

/** A message from an SMTP client. */
export function openIntake(transaction: Transaction, parts: SubmissionParts, facts: ClientFacts): Intake {
  const { client, recipients } = transaction;
  const message = parts.cleanup.begin({
    id: transaction.id,
    arrival_ms: transaction.arrival_ms,
    origin: {
      service: "smtpd",
      client: client.shown,
      helo: transaction.helo,
      protocol: transaction.protocol,
      saslUsername: transaction.saslUsername,
    },
    received: {
      kind: "smtp",
      helo: transaction.helo,
      name: client.name,
      address: client.address,
      protocol: transaction.protocol,
      tls: undefined,
      authenticated: transaction.saslUsername !== "",
    },
    sender: transaction.sender,
    recipients,
    local: isLocal(transaction, facts),
    smtputf8: transaction.smtputf8,
    envid: transaction.envid,
    ret: transaction.ret,
    ...treatment(facts),
  });
  return {
    data: (bytes) => message.data(bytes),
    commit: () => commit(message, transaction.id, parts),
    abandon: () => message.abandon(),
  };
}

function isLocal({ client, saslUsername }: Transaction, facts: ClientFacts): Answer<boolean> {
  const { address, name } = client;
  try {
    return facts.localClients.has({
      address,
      authenticated: saslUsername !== "",
      onThisHost: () => facts.onThisHost(address),
      inMyNetworks: () => facts.inMyNetworks(name, address),
    });
  } catch (error) {
    return Promise.reject(error);
  }
}

function treatment({ overrides = [], filter }: IntakeFacts): Pick<CleanupInput, "unchecked" | "unmapped" | "filter"> {
  return {
    unchecked: overrides.includes("no_header_body_checks"),
    unmapped: overrides.includes("no_address_mappings"),
    filter: filter || undefined,
  };
}

async function commit(message: CleanupMessage, id: string, parts: SubmissionParts): Promise<IntakeResult> {
  const admission = parts.admission();
  if (admission) await admission;
  const finished = message.finish();
  const result = finished instanceof Promise ? await finished : finished;
  if (result.kind === "reject") return refused(result.reply);
  if (result.kind === "discarded") return { kind: "queued", id };
  const refusal = await store(result.messages, undefined, parts);
  return refusal ? refused(refusal) : { kind: "queued", id };
}

function refused(answer: Reply): IntakeResult {
  return { kind: answer.code >= 500 ? "rejected" : "deferred", reply: answer };
}

/** Stores all of them or none; why not, as a reply. */
async function store(
  messages: readonly NewMessage[],
  source: string | undefined,
  { store: queue, accepted, log, failed }: SubmissionParts,
): Promise<Reply | undefined> {
  let stored: readonly Envelope[];
  try {
    stored = await queue.acceptAll(messages, source);
  } catch (error) {
    if (!(error instanceof QueueError)) throw error;
    log.warning(`${messages[0]?.id}: write queue file: ${error.message}`);
    if (error.kind === "failed") failed(error);
    return error.kind === "full" ? noRoom : tryLater;
  }
  for (const envelope of stored) {
    try {
      accepted(envelope);
    } catch (error) {
      // It is in the queue, whatever is wrong with us: nobody may be told otherwise.
      log.panic(`${envelope.id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  return undefined;
}

/** A message from sendmail. A refusal for good cannot be told to anybody but its sender, by mail. */
export function beginSubmission(
  submission: Submission,
  parts: SubmissionParts &
    IntakeFacts & { readonly reject: (rejected: RejectedSubmission) => Promise<readonly NewMessage[]> },
  user: string,
): SubmissionIntake {
  const { head, uid, source, arrival_ms } = submission;
  const id = parts.store.nextId();
  const sender = head.sender ?? user;
  parts.log.as("pickup").info(`${id}: uid=${uid} from=<${sender}>`);
  const message = parts.cleanup.begin({
    id,
    arrival_ms,
    origin: { service: "pickup", client: "", helo: "", protocol: "", saslUsername: "" },
    received: { kind: "local", uid, time_ms: arrival_ms },
    sender,
    recipients: head.recipients.map((address) => ({ address, notify: head.notify, orcpt: undefined })),
    local: !head.gateway,
    fullName: head.fullName,
    smtputf8: head.smtputf8,
    envid: head.envid,
    ret: head.ret,
    ...treatment(parts),
  });
  const begun: Buffer[] = [];
  let begun_bytes = 0;
  return {
    data(bytes) {
      if (begun_bytes < keptOfRejected_bytes) {
        begun.push(bytes);
        begun_bytes += bytes.length;
      }
      return message.data(bytes);
    },
    async finish(): Promise<SubmissionResult> {
      const admission = parts.admission();
      if (admission) await admission;
      const finished = message.finish();
      const result: CleanupResult = finished instanceof Promise ? await finished : finished;
      if (result.kind === "messages") return outcome(await store(result.messages, source, parts));
      if (result.kind === "discarded") return { kind: "taken" };
      if (result.reply.code < 500) return { kind: "retry", reason: result.reply.text };
      const text = Buffer.concat(begun);
      const notices = await parts.reject({ id, sender, head, arrival_ms, reply: result.reply, text });
      return outcome(await store(notices, source, parts));
    },
    abandon: () => message.abandon(),
  };
}

/** How much of a refused message is kept to be returned: its header, mostly. */
const keptOfRejected_bytes = 64 * 1024;

function outcome(refusal: Reply | undefined): SubmissionResult {
  return refusal ? { kind: "retry", reason: refusal.text } : { kind: "taken" };
}
