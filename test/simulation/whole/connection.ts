import type { Connection, ConnectionEvents, Endpoint } from "../../../src/runtime/net.ts";
import type { World } from "../world.ts";
import type { SimulatedProcess } from "./process.ts";

/** Whose end it is. One outside never dies. */
export type Owner = Pick<SimulatedProcess, "alive" | "effect" | "atDeath">;

/** What is on its way in one direction, in order. */
interface Piece {
  readonly bytes: Buffer | "end";
  /** Called when whoever it is for is given it. */
  readonly told: (() => void) | undefined;
}

/** What both ends have in common. */
interface Shared {
  passed_bytes: number;
  /** Nothing that is sent arrives any more. */
  cut: boolean;
}

/** How a connection treats its bytes. */
interface Quality {
  readonly slow: boolean;
  /** So many bytes may be on the way in one direction before a writer is asked to wait. */
  readonly window_bytes: number;
  /** After so many bytes of both directions: everything is lost, or nothing gets through in one direction for so long. */
  readonly trouble:
    | { readonly after_bytes: number; readonly kind: "cut" | "stall"; readonly stall_ms: number }
    | undefined;
}

/**
 * One end of a simulated TCP connection (src/runtime/net.ts has the contract). Bytes arrive in order, late, and in other
 * pieces than they were written in; the connection may be cut or stall at any byte; the other side may close half of it, all of it, or
 * vanish with its process.
 */
export class End implements Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Nothing is told any more. */
  gone = false;
  readonly #world: World;
  readonly #quality: Quality;
  readonly #shared: Shared;
  #owner: Owner | undefined;
  #paired: End | undefined;
  #events: ConnectionEvents | undefined;
  #paused = true;
  #inbox: Piece[] = [];
  /** Written and not yet read by the peer. */
  #underWay_bytes = 0;
  #blocked = false;
  #endSent = false;
  #endTold = false;
  #closed: { readonly error: Error | undefined } | undefined;
  /** When its owner last wrote something. */
  wrote_ms = 0;
  /** When the last piece sent arrives: nothing overtakes. */
  #lastArrival_ms = 0;

  private constructor(world: World, quality: Quality, shared: Shared, local: Endpoint, remote: Endpoint) {
    this.#world = world;
    this.#quality = quality;
    this.#shared = shared;
    this.local = local;
    this.remote = remote;
  }

  /** The end of who connects, and the other one, which is nobody's yet. */
  static pair(world: World, owner: Owner, local: Endpoint, remote: Endpoint): [End, End] {
    const quality = qualityOf(world);
    const shared = { passed_bytes: 0, cut: false };
    const near = new End(world, quality, shared, local, remote);
    const far = new End(world, quality, shared, remote, local);
    near.#paired = far;
    far.#paired = near;
    near.#belongsTo(owner);
    return [near, far];
  }

  takenBy(owner: Owner, taken: (connection: End) => void): void {
    if (!owner.alive) return;
    this.#belongsTo(owner);
    taken(this);
  }

  #belongsTo(owner: Owner): void {
    this.#owner = owner;
    owner.atDeath(() => this.vanish());
  }

  /** Whose the other end is, and when they last wrote something. */
  get other(): { readonly owner: Owner | undefined; readonly wrote_ms: number } {
    const { wrote_ms } = this.#peer;
    return { owner: this.#peer.#owner, wrote_ms };
  }

  get #peer(): End {
    if (!this.#paired) throw new Error("a connection has two ends");
    return this.#paired;
  }

  // What its owner does

  listen(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#closed) this.#tellClosed();
    else this.resume();
  }

  write(bytes: Uint8Array | string): boolean {
    return this.say(bytes, undefined);
  }

  /** `told` is called when all of it is given to the other side. */
  say(bytes: Uint8Array | string, told: (() => void) | undefined): boolean {
    if (this.gone || this.#endSent || !this.#owner?.effect()) return true;
    const copy = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);
    if (copy.length === 0) return true;
    this.wrote_ms = this.#world.clock.monotonic();
    const pieces = this.#pieces(copy);
    for (const [index, piece] of pieces.entries())
      this.#send({ bytes: piece, told: index === pieces.length - 1 ? told : undefined });
    this.#blocked = this.#underWay_bytes > this.#quality.window_bytes;
    return !this.#blocked;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    // As in Node, nothing is told before resume() has returned.
    this.#world.clock.after(0, () => this.#deliver());
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.write(bytes);
    if (this.gone || this.#endSent || !this.#owner?.effect()) return;
    this.#endSent = true;
    this.#send({ bytes: "end", told: undefined });
    this.#closeIfBothEnded();
  }

  destroy(): void {
    if (this.gone || !this.#owner?.effect()) return;
    this.#hangUp(this.#world.chance(0.7) ? "end" : "reset");
    this.#close(undefined);
  }

  startTls(): Promise<never> {
    return Promise.reject(new Error("there is no TLS in this world"));
  }

  acceptTls(): Promise<never> {
    return Promise.reject(new Error("there is no TLS in this world"));
  }

  // On the way

  #pieces(bytes: Buffer): Buffer[] {
    const world = this.#world;
    if (!world.chance(0.3)) return [bytes];
    const pieces: Buffer[] = [];
    for (let from = 0; from < bytes.length; ) {
      const to =
        pieces.length === 4 ? bytes.length : from + 1 + world.below(world.chance(0.5) ? 3 : bytes.length - from);
      pieces.push(bytes.subarray(from, to));
      from = to;
    }
    return pieces;
  }

  #send(piece: Piece): void {
    const { clock } = this.#world;
    if (piece.bytes !== "end") this.#underWay_bytes += piece.bytes.length;
    const stalled_ms = this.#trouble(piece.bytes === "end" ? 0 : piece.bytes.length);
    if (stalled_ms === undefined) return;
    const at_ms = Math.max(this.#lastArrival_ms, clock.monotonic() + this.#delay_ms() + stalled_ms);
    this.#lastArrival_ms = at_ms;
    clock.after(at_ms - clock.monotonic(), () => this.#peer.#arrive(piece));
  }

  #delay_ms(): number {
    const world = this.#world;
    if (this.#quality.slow) return world.below(3000);
    return world.below(world.chance(0.9) ? 2 : 50);
  }

  /** How much later it arrives; undefined: the connection is cut here. */
  #trouble(length: number): number | undefined {
    const { trouble } = this.#quality;
    if (this.#shared.cut) return undefined;
    const before = this.#shared.passed_bytes;
    this.#shared.passed_bytes += length;
    if (!trouble || before > trouble.after_bytes || this.#shared.passed_bytes <= trouble.after_bytes) return 0;
    if (trouble.kind === "stall") return trouble.stall_ms;
    this.#world.note(`${this.local.address} -> ${this.remote.address} is cut`);
    this.#shared.cut = true;
    for (const end of [this, this.#peer]) end.#resetLater();
    return undefined;
  }

  #arrive(piece: Piece): void {
    // Bytes for somebody who has gone are answered with a reset.
    if (this.gone) {
      if (piece.bytes !== "end") this.#peer.#resetLater();
      return;
    }
    this.#inbox.push(piece);
    this.#deliver();
  }

  #deliver(): void {
    while (!this.#paused && !this.gone && this.#events && this.#owner?.alive) {
      const piece = this.#inbox.shift();
      if (!piece) return;
      if (piece.bytes === "end") {
        this.#endTold = true;
        this.#events.ended();
        this.#closeIfBothEnded();
        return;
      }
      this.#peer.#taken(piece.bytes.length);
      piece.told?.();
      this.#events.data(piece.bytes);
    }
  }

  #taken(length: number): void {
    this.#underWay_bytes -= length;
    if (!this.#blocked || this.#underWay_bytes > 0) return;
    this.#blocked = false;
    this.#world.clock.after(0, () => {
      if (!this.gone && this.#owner?.alive) this.#events?.drained();
    });
  }

  // Ends

  #resetLater(): void {
    this.#world.clock.after(this.#delay_ms(), () => {
      if (!this.gone) this.#close(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
    });
  }

  #hangUp(how: "end" | "reset"): void {
    if (how === "reset") this.#peer.#resetLater();
    else if (!this.#endSent) this.#send({ bytes: "end", told: undefined });
    this.#endSent = true;
  }

  /** Its process is gone: the kernel closes what it had; after a loss of power nobody does. */
  vanish(): void {
    if (this.gone) return;
    const luck = this.#world.below(10);
    if (luck < 8) this.#hangUp(luck < 4 ? "end" : "reset");
    this.gone = true;
    this.#inbox = [];
  }

  #closeIfBothEnded(): void {
    if (this.#endSent && this.#endTold) this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.gone) return;
    this.gone = true;
    this.#inbox = [];
    this.#closed = { error };
    if (this.#events) this.#tellClosed();
  }

  #tellClosed(): void {
    this.#world.clock.after(0, () => {
      if (this.#owner?.alive) this.#events?.closed(this.#closed?.error);
    });
  }
}

function qualityOf(world: World): Quality {
  const slow = world.faulty && world.chance(0.04);
  const window_bytes = 1024 * (4 + world.below(60));
  const after_bytes = world.below(world.chance(0.7) ? 1500 : 100_000);
  const kind = world.chance(0.6) ? "cut" : "stall";
  const troubled = world.faulty && world.chance(0.12);
  const stall_ms = world.below(world.chance(0.5) ? 5000 : 200_000);
  return { slow, window_bytes, trouble: troubled ? { after_bytes, kind, stall_ms } : undefined };
}
