/**
 * Message identifiers (RFC 5322 section 3.6.4) for messages that came without:
 * a queue id is unique on its host for the second in which it was given out,
 * so with that second before it, it is unique for good.
 */
export function messageId(queueId: string, hostname: string, arrival_ms: number): string {
  const stamp = new Date(arrival_ms).toISOString().replace(/[-T:]/g, "").slice(0, 14);
  return `<${stamp}.${queueId}@${hostname}>`;
}
