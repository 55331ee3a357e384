import { type ClientMechanism, SaslError } from "./mechanism.ts";

/**
 * ANONYMOUS (RFC 4505): no identity is proved. The user name of the
 * credentials goes along as trace information, for the server's log.
 */
export const anonymous: ClientMechanism = {
  name: "ANONYMOUS",
  properties: new Set(["noplaintext"]),

  start({ username }) {
    return {
      initialResponse: Buffer.from(username),

      step() {
        throw new SaslError("ANONYMOUS has no challenge, and the server sent one");
      },

      finish() {},
    };
  },
};
