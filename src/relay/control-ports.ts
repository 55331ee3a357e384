import type { Log } from "../log/log.ts";
import type { QueueStore } from "../queue/store.ts";
import type { ControlPorts, OperatorPorts } from "./control.ts";
import type { Followers } from "./follow.ts";
import { type ChangeRequest, changePages, logChanged } from "./operate.ts";
import type { Relay } from "./relay.ts";

/** What commands may ask, answered by the store and the relay. */
export function controlPorts(store: QueueStore, relay: Relay, followers: Followers): ControlPorts {
  return {
    list: (after, limit) => store.list(after, limit),
    async flush({ id, site, destination }) {
      if (id !== undefined) return relay.flush({ ids: [id] });
      if (destination !== undefined) return relay.flush({ destination });
      if (site === undefined) return relay.flush("all");
      return flushSite(site, store, relay);
    },
    follow: (messageId) => followers.follow(messageId),
    status: async () => ({ counts: await store.counts(), ...relay.figures }),
  };
}

/** What the operator may ask beside. */
export function operatorPorts(store: QueueStore, relay: Relay, log: Log): OperatorPorts {
  return {
    async *change(request: ChangeRequest) {
      const to = log.as("postsuper", request.pid);
      for await (const page of changePages(store, request)) {
        logChanged(to, request.action, page);
        // What is due now does not wait for the end of a long list.
        relay.scheduler.look();
        yield page;
      }
    },
    note: (pid, text) => log.as("postsuper", pid).info(text),
  };
}

/** Mail for a site is mail whose recipients' domain it is, whatever next hop they go over. */
async function flushSite(site: string, store: QueueStore, relay: Relay): Promise<number> {
  const wanted = `@${site.toLowerCase()}`;
  let count = 0;
  for (let after: string | undefined; ; ) {
    const page = await store.list(after, 500);
    const ids = page
      .filter(
        ({ queue, envelope }) =>
          queue === "deferred" && envelope.recipients.some((each) => each.address.toLowerCase().endsWith(wanted)),
      )
      .map(({ envelope }) => envelope.id);
    if (ids.length > 0) count += await relay.flush({ ids });
    after = page.at(-1)?.envelope.id;
    if (after === undefined) return count;
  }
}
