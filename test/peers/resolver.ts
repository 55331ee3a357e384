import { connect, type Socket } from "node:net";

/** What Postfix's trivial-rewrite makes of an address. */
export interface PostfixRoute {
  readonly transport: string;
  readonly nexthop: string;
  readonly recipient: string;
  readonly class: "local" | "virtual" | "mailbox" | "relay" | "other" | "";
  readonly routed: boolean;
  /** The address is no address. */
  readonly bad: boolean;
  /** A table could not tell. */
  readonly failed: boolean;
}

/** RESOLVE_FLAG_* and RESOLVE_CLASS_* of Postfix's resolve_clnt.h. */
const flag = { routed: 2, error: 4, fail: 8 } as const;
const classes = [
  [256, "local"],
  [512, "virtual"],
  [1024, "mailbox"],
  [2048, "relay"],
  [4096, "other"],
] as const;

/**
 * A trivial-rewrite service of a running Postfix, asked over its socket as the queue manager
 * asks it: attributes are names and values with a NUL behind each, a record ends with a NUL more.
 * One question at a time.
 */
export class PostfixResolver {
  readonly #socket: Socket;
  #buffered = "";
  #waiting: ((record: readonly string[]) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text) => this.#take(String(text)));
    socket.on("error", (error) => this.#failed?.(error));
    socket.on("close", () => this.#failed?.(new Error("the service has hung up")));
  }

  /** `path`: of the service's socket in private/. */
  static async open(path: string): Promise<PostfixResolver> {
    const resolver = new PostfixResolver(connect({ path }));
    const greeting = await resolver.#record();
    if (greeting[1] !== "trivial_rewrite_protocol") throw new Error(`this is no trivial-rewrite: ${greeting}`);
    return resolver;
  }

  async resolve(sender: string, address: string): Promise<PostfixRoute> {
    const answer = this.#record();
    this.#socket.write(`request\0resolve\0sender\0${sender}\0address\0${address}\0\0`);
    const fields = await answer;
    const value = (name: string): string => fields[fields.indexOf(name) + 1] ?? "";
    const flags = Number(fields.at(-1));
    return {
      transport: value("transport"),
      nexthop: value("nexthop"),
      recipient: value("recipient"),
      class: classes.find(([bit]) => flags & bit)?.[1] ?? "",
      routed: (flags & flag.routed) !== 0,
      bad: (flags & flag.error) !== 0,
      failed: (flags & flag.fail) !== 0,
    };
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  #record(): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      this.#waiting = resolve;
      this.#failed = reject;
    });
  }

  /** A record ends where a name would begin, with an empty name; values may be empty. */
  #take(text: string): void {
    this.#buffered += text;
    const fields: string[] = [];
    let at = 0;
    for (;;) {
      const end = this.#buffered.indexOf("\0", at);
      if (end < 0) return;
      const field = this.#buffered.slice(at, end);
      at = end + 1;
      if (field === "" && fields.length % 2 === 0) break;
      fields.push(field);
    }
    this.#buffered = this.#buffered.slice(at);
    this.#waiting?.(fields);
  }
}
