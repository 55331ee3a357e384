/** Why a session, or a host, did not take a message: a value that decides about all recipients left. */
export interface Failure {
  /** Enhanced status code; its class decides between waiting and returning. */
  readonly dsn: string;
  readonly reason: string;
  /** What the server said, "550 5.1.1 …"; undefined where the words are ours. */
  readonly reply: string | undefined;
  /**
   * destination  the server is of no use: the scheduler holds back
   * login        it refuses our login, which an administrator has to mend
   * message      it would take other mail
   */
  readonly about: "destination" | "login" | "message";
}

/** Where the words are ours. */
export function ownFailure(dsn: string, reason: string, about: Failure["about"] = "destination"): Failure {
  return { dsn, reason, reply: undefined, about };
}

export function isTemporary({ dsn }: { readonly dsn: string }): boolean {
  return dsn.startsWith("4");
}
