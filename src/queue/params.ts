import { int, time } from "../conf/param.ts";

/** What the queue's store reads. Postfix has no such parameters: its queue is a directory of files. */
export const queueParams = {
  postern_queue_cache_size: int({
    default: "33554432",
    min: 0,
    since: "0.1",
    doc: "How many bytes of message bodies that were just taken are kept in memory, so that they are delivered without being read back from the queue. What does not fit is read from disk.",
  }),
  postern_queue_page_cache_size: int({
    default: "16777216",
    min: 1048576,
    since: "0.1",
    doc: "How many bytes of the queue file SQLite keeps in memory.",
  }),
  postern_queue_checkpoint_size: int({
    default: "16777216",
    min: 1048576,
    since: "0.1",
    doc: "After about how many bytes written to the queue's write-ahead log they are moved into the queue file. More makes bursts cheaper, and the log larger.",
  }),
  postern_queue_batch_limit: int({
    default: "1000",
    min: 1,
    since: "0.1",
    doc: "How many changes of the queue are written in one transaction at most, with one sync for all. Transactions are never delayed in order to fill them.",
  }),
  postern_queue_batch_size_limit: int({
    default: "4194304",
    min: 65536,
    since: "0.1",
    doc: "How many bytes are written to the queue in one transaction at most, about.",
  }),
  postern_queue_trace_time: time({
    default: "1d",
    min: 3600,
    since: "0.1",
    doc: "How long the queue remembers, after a message is gone, which maildrop file or which failed message it came from, so that the same is not queued twice after a crash.",
  }),
} as const;
