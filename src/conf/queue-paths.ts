/** Where things are below queue_directory. */
export interface QueuePaths {
  readonly base: string;
  /** What sendmail writes: anybody may add, nobody but the relay may look. */
  readonly maildrop: string;
  /** The socket that commands ask. */
  readonly public: string;
  /** The socket that the operator's commands ask: below `queue`, so that only the relay's user and root get at it. */
  readonly operatorSocket: string;
  /** The queue's database and its owners' locks: the relay's alone. */
  readonly queue: string;
  /** Held while a master runs. */
  readonly masterLock: string;
  readonly masterPid: string;
  /** Where its owner gives the master orders. */
  readonly masterSocket: string;
}

export function queuePaths(queueDirectory: string): QueuePaths {
  const base = `${queueDirectory}/postern`;
  return {
    base,
    maildrop: `${base}/maildrop`,
    public: `${base}/public`,
    operatorSocket: `${base}/queue/operator`,
    queue: `${base}/queue`,
    masterLock: `${base}/master.lock`,
    masterPid: `${base}/master.pid`,
    masterSocket: `${base}/master.sock`,
  };
}
