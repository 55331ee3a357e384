/**
 * A session that is ready for mail: its connection, what the server offers, and
 * who we are to it. One transaction at a time; between them it is idle, and
 * whatever happens on it then makes it dead.
 */
import type { MailHost } from "../dns/hosts.ts";
import type { TlsPolicy } from "../tls/policy.ts";
import type { Credentials } from "./credentials.ts";
import type { Dialogue } from "./dialogue.ts";
import type { Features } from "./features.ts";

export interface SessionFacts {
  readonly dialogue: Dialogue;
  readonly host: MailHost;
  /** The next hop, or fallback relay, as written, that led here. */
  readonly nexthop: string;
  readonly features: Features;
  /** The login in force; undefined where there is none. */
  readonly credentials: Credentials | undefined;
  /** Takes what went into AUTH out of the server's texts. */
  readonly mask: ((text: string) => string) | undefined;
  /** What was demanded of TLS when this session was made, and whether there is any. */
  readonly policy: TlsPolicy;
  readonly secured: boolean;
  /** Monotonic, when the connection was made. */
  readonly born_ms: number;
  /** More than the server's words: it has sent lines that were no replies, and is not to be kept. */
  readonly sour: boolean;
  /** How long the reply to QUIT is waited for, in the background; 0: not at all. */
  readonly quit_s: number;
}

export class Session {
  readonly facts: SessionFacts;
  /** "name[address]", and with the port behind it. */
  readonly server: string;
  readonly relay: string;
  /** Transactions begun, this one included. */
  uses = 0;
  /** The server has answered in ways that make one wonder where it stands: to be used up, not kept. */
  sour: boolean;

  constructor(facts: SessionFacts) {
    this.facts = facts;
    this.server = serverText(facts.host);
    this.relay = relayText(facts.host);
    this.sour = facts.sour;
  }

  get dead(): boolean {
    return this.facts.dialogue.dead;
  }

  mask(text: string): string {
    return this.facts.mask ? this.facts.mask(text) : text;
  }

  quit(): void {
    const { dialogue, quit_s } = this.facts;
    if (quit_s === 0) dialogue.close("QUIT\r\n");
    else if (!dialogue.dead) {
      dialogue.send("QUIT\r\n");
      this.hangUp();
    }
  }

  /** QUIT has been said. */
  hangUp(): void {
    const { dialogue, quit_s } = this.facts;
    if (quit_s === 0 || dialogue.dead) {
      dialogue.close();
      return;
    }
    dialogue.attend({ onReply: () => dialogue.close(), onJunk() {}, onDrained() {}, onBreak() {} });
    dialogue.within(quit_s);
  }

  /** Clears what the last transaction left with the server. False: it would not, and the session is dead or to be closed. */
  reset(seconds: number): Promise<boolean> {
    const { dialogue } = this.facts;
    if (dialogue.dead) return Promise.resolve(false);
    return new Promise((resolve) => {
      dialogue.attend({
        onReply(reply) {
          dialogue.leave();
          resolve(reply.code >= 200 && reply.code < 300);
        },
        onJunk() {},
        onDrained() {},
        onBreak: () => resolve(false),
      });
      dialogue.within(seconds);
      dialogue.turn();
      dialogue.send("RSET\r\n");
    });
  }
}

export function serverText({ name, address }: MailHost): string {
  return `${name}[${address}]`;
}

export function relayText(host: MailHost): string {
  return host.port === 0 ? serverText(host) : `${serverText(host)}:${host.port}`;
}
