import type { Connection, TlsFacts } from "../../runtime/net.ts";
import { withinTime } from "../database/time-limit.ts";
import { connectTo, type Network } from "../server-client.ts";
import { BerError } from "./ber.ts";
import {
  bindRequest,
  type Entry,
  messageLength,
  parseResponse,
  type Response,
  type Result,
  type Search,
  searchRequest,
  startTlsRequest,
  unbindRequest,
} from "./messages.ts";
import type { LdapUrl } from "./url.ts";

/**
 * A connection to an LDAP server: one question at a time, each with a time limit and a limit of what may come.
 *
 *   open -> (startTls) -> (bind) -> search, any number of times -> close
 *
 * What is no LDAP, comes without being asked for, or too late, ends the connection.
 */
export interface LdapTls {
  /** Is TLS begun with StartTLS (ldap:), or at once (ldaps:)? */
  readonly startTls: boolean;
  /** The server must show a certificate of these authorities (PEM texts) for its name; undefined: any will do. */
  readonly authorities: readonly string[] | undefined;
}

/** The most that may come in answer to one search. */
const answerLimit_bytes = 16 * 1024 * 1024;

/** The server says that it cannot do what it was asked for. */
export class LdapRefusal extends Error {
  readonly code: number;

  constructor({ code, text }: Result) {
    super(`${codes[code] ?? "error"} (${code})${text ? `: ${text}` : ""}`);
    this.code = code;
  }
}

/** What operators know the commonest result codes by (RFC 4511 appendix A). */
const codes: Readonly<Record<number, string>> = {
  1: "Operations error",
  2: "Protocol error",
  3: "Time limit exceeded",
  4: "Size limit exceeded",
  8: "Strong(er) authentication required",
  10: "Referral",
  11: "Administrative limit exceeded",
  13: "Confidentiality required",
  16: "No such attribute",
  18: "Inappropriate matching",
  32: "No such object",
  34: "Invalid DN syntax",
  48: "Inappropriate authentication",
  49: "Invalid credentials",
  50: "Insufficient access",
  51: "Server is busy",
  52: "Server is unavailable",
  53: "Server is unwilling to perform",
};

export const noSuchObject = 32;

interface Asked {
  readonly number: number;
  readonly ends: Response["kind"];
  readonly entries: Entry[];
  resolve(result: Result): void;
  reject(error: Error): void;
}

export class LdapConnection {
  readonly #network: Network;
  readonly #connection: Connection;
  readonly #limit_ms: number;
  #chunks: Buffer[] = [];
  #size_bytes = 0;
  #received_bytes = 0;
  #number = 0;
  #asked: Asked | undefined;
  lost = false;

  private constructor(network: Network, connection: Connection, limit_ms: number) {
    this.#network = network;
    this.#connection = connection;
    this.#limit_ms = limit_ms;
    connection.listen({
      data: (bytes) => this.#data(bytes),
      ended: () => this.#fail(new Error("the server closed the connection")),
      drained: () => {},
      closed: (error) => this.#fail(error ?? new Error("the server closed the connection")),
    });
  }

  /** Connects, with TLS where the URL or `tls` says so. Dropped when `givenUp` comes first. */
  static async open(
    network: Network,
    { host, port, secure }: LdapUrl,
    tls: LdapTls,
    limit_ms: number,
    givenUp: AbortSignal,
  ): Promise<LdapConnection> {
    const connection = await connectTo(network, { host: host || "localhost", port }, limit_ms);
    const opened = new LdapConnection(network, connection, limit_ms);
    const abandon = (): void => opened.#fail(new Error("given up"));
    givenUp.addEventListener("abort", abandon);
    if (givenUp.aborted) abandon();
    try {
      if (tls.startTls && !secure) await opened.#done("extended", startTlsRequest);
      if (tls.startTls || secure) await opened.#secure(host, tls.authorities);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    } finally {
      givenUp.removeEventListener("abort", abandon);
    }
  }

  async bind(name: string, password: string): Promise<void> {
    await this.#done("bound", (number) => bindRequest(number, name, password));
  }

  /** The entries found. Throws LdapRefusal, or another Error where the connection is lost. */
  async search(search: Search): Promise<Entry[]> {
    const entries: Entry[] = [];
    await this.#done("found", (number) => searchRequest(number, search), entries);
    return entries;
  }

  close(): void {
    if (!this.lost) this.#connection.write(unbindRequest(++this.#number));
    this.#fail(new Error("the connection is closed"));
  }

  async #secure(host: string, authorities: LdapTls["authorities"]): Promise<void> {
    if (this.lost || this.#size_bytes > 0) throw new Error("the server spoke before TLS began");
    const facts = await this.#connection.startTls({ serverName: host, authorities: authorities ?? [] });
    if (!authorities) return;
    if (!facts.trusted) throw new Error(`the server's certificate is not trusted: ${facts.distrust}`);
    if (!isFor(facts, host)) throw new Error(`the server's certificate is not for ${host}`);
  }

  async #done(ends: Response["kind"], request: (number: number) => Buffer, entries: Entry[] = []): Promise<void> {
    if (this.lost) throw new Error("the server closed the connection");
    const number = ++this.#number;
    this.#received_bytes = 0;
    const answer = new Promise<Result>((resolve, reject) => {
      this.#asked = { number, ends, entries, resolve, reject };
      this.#connection.write(request(number));
    });
    const limit_s = this.#limit_ms / 1000;
    const result = await withinTime(
      this.#network.clock,
      answer,
      this.#limit_ms,
      `no answer in ${limit_s} seconds`,
    ).catch((error: Error) => {
      this.#fail(error);
      throw error;
    });
    if (result.code !== 0) throw new LdapRefusal(result);
  }

  #data(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#size_bytes += bytes.length;
    this.#received_bytes += bytes.length;
    if (this.#received_bytes > answerLimit_bytes) {
      return this.#fail(new Error(`the answer is longer than ${answerLimit_bytes} bytes`));
    }
    try {
      this.#messages();
    } catch (error) {
      if (!(error instanceof BerError)) throw error;
      this.#fail(new Error(`protocol error: ${error.message}`));
    }
  }

  /** Takes what is complete off what has come. Pieces are put together when they are enough, and not before. */
  #messages(): void {
    while (this.#size_bytes > 0 && !this.lost) {
      const [first] = this.#chunks;
      const head = first && first.length >= 6 ? first : this.#joined();
      const length = messageLength(head);
      if (length === undefined || length > this.#size_bytes) {
        if (length !== undefined && length > answerLimit_bytes) throw new BerError("a message is too long");
        return;
      }
      const whole = this.#joined();
      this.#chunks = length < whole.length ? [whole.subarray(length)] : [];
      this.#size_bytes -= length;
      this.#heard(parseResponse(whole.subarray(0, length)));
    }
  }

  #joined(): Buffer {
    const whole = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #heard(response: Response): void {
    const asked = this.#asked;
    if (response.number === 0) return this.#fail(new Error("the server says that it will go away"));
    if (!asked || response.number !== asked.number) throw new BerError("an answer to nothing that was asked");
    if (response.kind === "entry" && asked.ends === "found") asked.entries.push(response.entry);
    else if (response.kind === "reference" && asked.ends === "found") return;
    else if (response.kind !== asked.ends || !("result" in response))
      throw new BerError("an answer to another question");
    else {
      this.#asked = undefined;
      asked.resolve(response.result);
    }
  }

  #fail(error: Error): void {
    if (!this.lost) this.#connection.destroy();
    this.lost = true;
    this.#chunks = [];
    this.#size_bytes = 0;
    this.#asked?.reject(error);
    this.#asked = undefined;
  }
}

/** A name of the certificate is the host's; its first label may be `*`. */
function isFor({ certificate }: TlsFacts, host: string): boolean {
  const wanted = host.toLowerCase();
  return (certificate?.names ?? []).some((name) => {
    const shown = name.toLowerCase();
    return shown === wanted || (shown.startsWith("*.") && wanted.slice(wanted.indexOf(".")) === shown.slice(1));
  });
}
