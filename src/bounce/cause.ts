import type { RecipientResult } from "../queue/delivery.ts";
import type { BodyReader, Envelope } from "../queue/message.ts";
import type { Kind } from "./templates.ts";

/** What has happened to some recipients of a message. `body` is read for what comes back of the original. */
export interface NotificationCause {
  readonly kind: Kind;
  readonly envelope: Envelope;
  readonly results: readonly RecipientResult[];
  readonly body: BodyReader;
}
