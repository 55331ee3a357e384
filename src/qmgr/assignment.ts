import type { Log } from "../log/log.ts";
import type { Route } from "../routing/router.ts";
import type { Answer } from "../table/maps.ts";
import type { ActiveMessage } from "./active.ts";
import { nextHopOrder } from "./grouping.ts";
import { errorText } from "./options.ts";

interface AssignmentOptions {
  readonly log: Log;
  readonly route: (sender: string, recipient: string, filter?: string) => Answer<Route>;
  readonly deferTransports: readonly string[];
  /** A flush has asked for this message, which was taken just now: deferTransports does not hold it back. */
  readonly lifted: (id: string) => boolean;
  /** What tells destinations apart. */
  readonly keyOf: (address: string, route: Route) => string;
  /** Recipients of a message that share a next hop. Called while `message.routing`, except for messages of one recipient. */
  readonly place: (message: ActiveMessage, route: Route, key: string, indices: readonly number[]) => void;
}

const only: readonly number[] = [0];

/** By the key of the destination. */
type Groups = Map<string, { readonly route: Route; readonly indices: number[] }>;

/** Finds the next hop of each pending recipient and brings those together that have the same. */
export class Assignment {
  readonly #options: AssignmentOptions;

  constructor(options: AssignmentOptions) {
    this.#options = options;
  }

  /** Calls `done` when every recipient has been placed: before this returns, where the tables answer at once. */
  assign(message: ActiveMessage, done: () => void): void {
    message.routing = true;
    const { id, recipients } = message.envelope;
    // A flush is over when all that was due has been taken, and tables may answer later than that.
    const lifted = this.#options.lifted(id);
    if (recipients.length > 1) {
      this.#assignAll(message, lifted, done);
      return;
    }
    const route = this.#routeOf(message, 0, lifted);
    const placed = (found: Route): void => {
      this.#options.place(message, found, this.#options.keyOf(recipients[0]?.address ?? "", found), only);
      message.routing = false;
      done();
    };
    if (route instanceof Promise) void route.then(placed);
    else placed(route);
  }

  /** Places these recipients on one route, those together that share a destination. */
  place(message: ActiveMessage, indices: readonly number[], route: Route): void {
    const groups: Groups = new Map();
    for (const index of indices) this.#put(groups, message, index, route);
    for (const [key, group] of groups) this.#options.place(message, route, key, group.indices);
  }

  #put(groups: Groups, { envelope }: ActiveMessage, index: number, route: Route): void {
    const key = this.#options.keyOf(envelope.recipients[index]?.address ?? "", route);
    const group = groups.get(key);
    if (group) group.indices.push(index);
    else groups.set(key, { route, indices: [index] });
  }

  #assignAll(message: ActiveMessage, lifted: boolean, done: () => void): void {
    const order = nextHopOrder(message.envelope);
    const groups: Groups = new Map();
    const put = (index: number, route: Route): void => this.#put(groups, message, index, route);
    const routeFrom = (start: number): void => {
      for (let at = start; at < order.length; at++) {
        const index = order[at] ?? 0;
        const route = this.#routeOf(message, index, lifted);
        if (route instanceof Promise) {
          void route.then((found) => {
            put(index, found);
            routeFrom(at + 1);
          });
          return;
        }
        put(index, route);
      }
      for (const [key, { route, indices }] of groups) this.#options.place(message, route, key, indices);
      message.routing = false;
      done();
    };
    routeFrom(0);
  }

  /** Never throws or rejects: what cannot be routed is deferred. */
  #routeOf(message: ActiveMessage, index: number, lifted: boolean): Answer<Route> {
    const { id, sender, recipients, expired, filter } = message.envelope;
    const address = recipients[index]?.address ?? "";
    if (address === "") return verdict("error", "5.1.3 null recipient address");
    if (expired) return verdict("retry", "4.7.0 message is administratively expired");
    try {
      const route = this.#options.route(sender, address, filter);
      if (!(route instanceof Promise)) return lifted ? route : this.#unlessDeferred(route);
      return route.then(
        (found) => (lifted ? found : this.#unlessDeferred(found)),
        (error) => this.#unroutable(id, address, error),
      );
    } catch (error) {
      return this.#unroutable(id, address, error);
    }
  }

  #unroutable(id: string, address: string, error: unknown): Route {
    this.#options.log.warning(`${id}: cannot find the next hop of <${address}>: ${errorText(error)}`);
    return verdict("retry", "4.3.0 address resolver failure");
  }

  #unlessDeferred(route: Route): Route {
    if (!this.#options.deferTransports.includes(route.hop.transport)) return route;
    return verdict("retry", "4.3.2 deferred transport");
  }
}

function verdict(transport: "error" | "retry", nexthop: string): Route {
  return { hop: { transport, nexthop }, class: "other" };
}
