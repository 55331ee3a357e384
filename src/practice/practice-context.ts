import type { Runtime } from "../runtime/runtime.ts";
import type { OwnCertificate } from "./certificate.ts";
import type { Script } from "./script.ts";

/** A message that the practice server has taken. */
export interface ReceivedMessage {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** What came after the addresses in MAIL and in each RCPT: "SIZE=100 BODY=8BITMIME". */
  readonly mailParameters: string;
  readonly rcptParameters: readonly string[];
  /** Header and body as sent, with CRLF, dots unstuffed. */
  readonly data: Buffer;
  readonly helo: string;
  readonly username: string | undefined;
  readonly secured: boolean;
  readonly connection: number;
}

/** What a session needs of its server. */
export interface PracticeContext {
  readonly runtime: Pick<Runtime, "clock" | "random" | "crypto">;
  readonly name: string;
  readonly users: Readonly<Record<string, string>>;
  readonly requireTls: boolean;
  readonly requireAuth: boolean;
  readonly mechanisms: readonly string[];
  readonly certificate: OwnCertificate | undefined;
  readonly wrapper: boolean;
  readonly extensions: readonly string[];
  readonly sizeLimit_bytes: number;
  readonly script: Script;
  received(message: ReceivedMessage): void;
  noted(command: string): void;
}
