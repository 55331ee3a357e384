import { BoundSocket, createServer, isIP, type Server, Socket } from "node:net";
import {
  type ConnectionOptions,
  createSecureContext,
  type DetailedPeerCertificate,
  type SecureContext,
  TLSSocket,
  connect as tlsConnect,
} from "node:tls";

export interface Endpoint {
  /** A numeric address, or a path for a Unix socket. */
  readonly address: string;
  readonly port: number;
}

/** What a connection tells its owner. Nothing is told after `closed`. */
export interface ConnectionEvents {
  data(bytes: Buffer): void;
  /** The other side has finished sending. */
  ended(): void;
  /** All that was written has been taken by the kernel, after `write` had returned false. */
  drained(): void;
  /** Always the last, exactly once. `error` says why, unless it was an orderly end. */
  closed(error: Error | undefined): void;
}

/** What is known of TLS on a connection once it is established. */
export interface TlsFacts {
  readonly protocol: string;
  readonly cipher: string;
  readonly cipherBits: number;
  /** The chain leads to a trusted authority. Names are not part of this. */
  readonly trusted: boolean;
  /** Why it does not, in OpenSSL's words or code. */
  readonly distrust: string | undefined;
  /** The server's certificate, or undefined where it showed none. */
  readonly certificate: PeerCertificateFacts | undefined;
}

export interface PeerCertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** DNS names of subjectAltName; the common name only where there are none. */
  readonly names: readonly string[];
  readonly fingerprint256: string;
  /** When it is valid, in milliseconds since the epoch; NaN where it says so in a form that cannot be read. */
  readonly validFrom_ms: number;
  readonly validTo_ms: number;
  /** The chain that came with it, or was found for it: names of subjects, the server's own first. Made when asked for. */
  chain(): readonly string[];
}

export interface TlsClientOptions {
  /** Sent as SNI; "" for none. */
  readonly serverName: string;
  /** PEM texts of trusted authorities; empty: nobody is trusted. */
  readonly authorities: readonly string[];
  readonly minVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  readonly ciphers?: string;
}

export interface TlsServerOptions {
  readonly key: string;
  readonly certificate: string;
}

/**
 * One connection, in or out. It starts paused: nothing is read before
 * `listen`. Writing never blocks; false means "wait for drained".
 */
export interface Connection {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  listen(events: ConnectionEvents): void;
  /** A string is written as latin1: one character, one byte. */
  write(bytes: Uint8Array | string): boolean;
  pause(): void;
  resume(): void;
  /**
   * Finishes sending (after `bytes`); the other side may still send. With `close`, for one that has said all it has to say,
   * everything ends as soon as `bytes` are the kernel's.
   */
  end(bytes?: Uint8Array | string, options?: { readonly close: boolean }): void;
  /** Drops everything at once. */
  destroy(): void;
  /**
   * Turns this connection into a TLS one; events go on as before, in clear
   * text. Call with nothing read but unprocessed, and nothing written but
   * unsent. Rejects when the handshake fails; the connection is dead then.
   */
  startTls(options: TlsClientOptions): Promise<TlsFacts>;
  acceptTls(options: TlsServerOptions): Promise<void>;
}

export interface Listener {
  /** The address bound, with the port the kernel chose where 0 was asked for. */
  readonly bound: Endpoint;
  /** Stops taking connections; those there are go on. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  /** Local address to bind to first (`smtp_bind_address`). */
  readonly from?: string;
  readonly timeout_ms: number;
}

/** An address that is taken, but on which nothing is accepted by this process: the descriptor is for a child. */
export interface BoundAddress {
  readonly fd: number;
  readonly endpoint: Endpoint;
  close(): void;
}

export interface Net {
  /** Takes an address without listening on it. Throws Node's error: EADDRINUSE, EACCES, EADDRNOTAVAIL. */
  bind(at: Endpoint): BoundAddress;
  /** Rejects with Node's error: `code` is ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, … */
  connect(options: ConnectOptions): Promise<Connection>;
  /** Takes connections on an address, or on a listening descriptor handed down by a parent. */
  listen(
    at: Endpoint | { readonly fd: number } | { readonly path: string },
    taken: (connection: Connection) => void,
  ): Promise<Listener>;
}

const deaf: ConnectionEvents = { data() {}, ended() {}, drained() {}, closed() {} };

class SocketConnection implements Connection {
  readonly remote: Endpoint;
  #local: Endpoint | undefined;
  #socket: Socket;
  #events = deaf;
  #error: Error | undefined;
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remote = { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
    socket.setNoDelay(true);
    this.#attach(socket);
  }

  /** A system call, and few ask. Empty where the connection was gone before anybody did. */
  get local(): Endpoint {
    this.#local ??= { address: this.#socket.localAddress ?? "", port: this.#socket.localPort ?? 0 };
    return this.#local;
  }

  listen(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#closed) queueMicrotask(() => events.closed(this.#error));
    else this.#socket.resume();
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    return typeof bytes === "string" ? this.#socket.write(bytes, "latin1") : this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(bytes?: Uint8Array | string, { close } = { close: false }): void {
    const socket = this.#socket;
    // To shut down first what the other side has closed already costs two errors. TLS has a goodbye of its own.
    if (close && bytes !== undefined && !("encrypted" in socket)) {
      const gone = (): void => void socket.destroy();
      if (typeof bytes === "string") socket.write(bytes, "latin1", gone);
      else socket.write(bytes, gone);
    } else if (bytes === undefined) socket.end();
    else if (typeof bytes === "string") socket.end(bytes, "latin1");
    else socket.end(bytes);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  startTls(options: TlsClientOptions): Promise<TlsFacts> {
    const plain = this.#detach();
    const settings: ConnectionOptions = {
      socket: plain,
      rejectUnauthorized: false,
      // Names are the caller's to judge; left to Node, a wrong name would count as a chain that is not trusted.
      checkServerIdentity: () => undefined,
      secureContext: clientContext(options),
      ...(options.serverName && !isIP(options.serverName) ? { servername: options.serverName } : {}),
    };
    return this.#secure(() => tlsConnect(settings), "secureConnect").then(tlsFacts);
  }

  async acceptTls(options: TlsServerOptions): Promise<void> {
    const plain = this.#detach();
    const settings = { isServer: true, key: options.key, cert: options.certificate };
    await this.#secure(() => new TLSSocket(plain, settings), "secure");
  }

  #attach(socket: Socket): void {
    socket.on("data", (bytes: Buffer) => this.#events.data(bytes));
    socket.on("end", () => this.#events.ended());
    socket.on("drain", () => this.#events.drained());
    socket.on("error", (error) => {
      this.#error ??= error;
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#events.closed(this.#error);
    });
    socket.pause();
  }

  #detach(): Socket {
    const plain = this.#socket;
    for (const event of ["data", "end", "drain", "error", "close"]) plain.removeAllListeners(event);
    plain.on("error", () => {});
    return plain;
  }

  #secure(make: () => TLSSocket, done: string): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const secured = make();
      this.#socket = secured;
      const failed = (error?: Error): void => {
        this.#closed = true;
        this.#error ??= error ?? new Error("connection closed during the TLS handshake");
        secured.destroy();
        reject(this.#error);
      };
      secured.once("error", failed);
      secured.once("close", () => failed());
      secured.once(done, () => {
        secured.removeAllListeners();
        this.#attach(secured);
        secured.resume();
        resolve(secured);
      });
    });
  }
}

/** By the list of authorities, which callers keep: parsing hundreds of certificates costs more than a handshake. */
const clientContexts = new WeakMap<readonly string[], Map<string, SecureContext>>();

function clientContext({ authorities, minVersion, maxVersion, ciphers }: TlsClientOptions): SecureContext {
  const known = clientContexts.get(authorities) ?? new Map<string, SecureContext>();
  clientContexts.set(authorities, known);
  const kind = `${minVersion} ${maxVersion} ${ciphers}`;
  const context =
    known.get(kind) ??
    createSecureContext({
      ca: [...authorities],
      ...(minVersion ? { minVersion } : {}),
      ...(maxVersion ? { maxVersion } : {}),
      ...(ciphers ? { ciphers } : {}),
    });
  known.set(kind, context);
  return context;
}

function tlsFacts(socket: TLSSocket): TlsFacts {
  const cipher = socket.getCipher();
  const peer = socket.getPeerCertificate();
  const shown = peer && Object.keys(peer).length > 0;
  const distrust = socket.authorized ? undefined : String(socket.authorizationError ?? "not verified");
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: cipher.standardName || cipher.name,
    cipherBits: /256|CHACHA/.test(cipher.name) ? 256 : 128,
    trusted: socket.authorized,
    distrust,
    certificate: shown
      ? {
          subject: firstName(peer.subject?.CN),
          issuer: firstName(peer.issuer?.CN ?? peer.issuer?.O),
          names: certificateNames(peer.subjectaltname, firstName(peer.subject?.CN)),
          fingerprint256: peer.fingerprint256,
          validFrom_ms: Date.parse(peer.valid_from),
          validTo_ms: Date.parse(peer.valid_to),
          chain: () => chainOf(socket),
        }
      : undefined,
  };
}

/** Longer chains than this are cut off: nobody has them but to keep us busy. */
const chainLimit = 10;

function chainOf(socket: TLSSocket): readonly string[] {
  const names: string[] = [];
  let each: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  for (; each?.subject && names.length < chainLimit; each = each.issuerCertificate) {
    names.push(firstName(each.subject.CN ?? each.subject.O));
    if (each.issuerCertificate === each || each.issuerCertificate?.fingerprint256 === each.fingerprint256) break;
  }
  return names;
}

/** The other side writes these texts: what could steer a terminal, or break a line, is no part of a name. */
const plain = (text: string): string =>
  text.replace(/[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "?");

const firstName = (name: string | string[] | undefined): string =>
  plain(Array.isArray(name) ? (name[0] ?? "") : (name ?? ""));

/** "DNS:a.example, IP Address:192.0.2.1" as a list of names. A quoted entry holds what could pass for another one (CVE-2021-44532). */
function certificateNames(alternatives: string | undefined, commonName: string): string[] {
  const names: string[] = [];
  for (const [, name] of (alternatives ?? "").matchAll(/(?:^|, )DNS:("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
    if (name && !name.startsWith('"')) names.push(plain(name));
  }
  return names.length > 0 || !commonName ? names : [commonName];
}

export const realNet: Net = {
  bind({ address, port }) {
    const bound = new BoundSocket({ host: address, port, ipv6Only: isIP(address) === 6 });
    const { address: host, port: chosen } = bound.address() as Endpoint;
    return { fd: bound.fd(), endpoint: { address: host, port: chosen }, close: () => bound.close() };
  },

  connect: ({ address, port, from, timeout_ms }) =>
    new Promise((resolve, reject) => {
      const socket = new Socket({ allowHalfOpen: true });
      const timer = setTimeout(() => {
        socket.destroy(Object.assign(new Error("Connection timed out"), { code: "ETIMEDOUT" }));
      }, timeout_ms);
      const failed = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      socket.once("error", failed);
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.removeListener("error", failed);
        resolve(new SocketConnection(socket));
      });
      if (isIP(address)) socket.connect({ host: address, port, ...(from ? { localAddress: from } : {}) });
      else socket.connect({ path: address });
    }),

  listen: (at, taken) =>
    new Promise((resolve, reject) => {
      const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) =>
        taken(new SocketConnection(socket)),
      );
      server.once("error", reject);
      server.once("listening", () => {
        server.removeListener("error", reject);
        server.on("error", () => {});
        resolve({ bound: boundEndpoint(server), close: () => new Promise((closed) => server.close(() => closed())) });
      });
      const backlog = 1024;
      if ("fd" in at) server.listen({ fd: at.fd, backlog });
      else if ("path" in at) server.listen({ path: at.path, backlog });
      else server.listen({ host: at.address, port: at.port, backlog });
    }),
};

function boundEndpoint(server: Server): Endpoint {
  const bound = server.address();
  if (typeof bound === "string" || bound === null) return { address: bound ?? "", port: 0 };
  return { address: bound.address, port: bound.port };
}
