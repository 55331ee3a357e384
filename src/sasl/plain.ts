import { type ClientMechanism, SaslError } from "./mechanism.ts";

/** PLAIN (RFC 4616): everything in one message. Only as safe as the connection it crosses. */
export const plain: ClientMechanism = {
  name: "PLAIN",
  properties: new Set(["noanonymous"]),

  start({ username, password }) {
    if (!username) throw new SaslError("the user name is empty");
    if (username.includes("\0") || password.includes("\0")) {
      throw new SaslError("PLAIN cannot carry a user name or password with a NUL in it");
    }
    return {
      initialResponse: Buffer.from(`\0${username}\0${password}`),

      step() {
        throw new SaslError("PLAIN has no challenge, and the server sent one");
      },

      finish() {},
    };
  },
};
