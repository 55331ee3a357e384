import { createHmac } from "node:crypto";
import { type ClientMechanism, SaslError } from "./mechanism.ts";

/**
 * CRAM-MD5 (RFC 2195): the server speaks first, and the password never
 * crosses the wire. Kept for old relays; SCRAM is the one to prefer.
 */
export const cramMd5: ClientMechanism = {
  name: "CRAM-MD5",
  properties: new Set(["noplaintext", "noanonymous"]),

  start({ username, password }) {
    if (!username) throw new SaslError("the user name is empty");
    let answered = false;
    return {
      initialResponse: undefined,

      step(challenge) {
        if (answered) throw new SaslError("CRAM-MD5 has one challenge, and the server sent another");
        if (challenge.length === 0) throw new SaslError("the server's challenge is empty");
        answered = true;
        const digest = createHmac("md5", password).update(challenge).digest("hex");
        return Buffer.from(`${username} ${digest}`);
      },

      finish() {
        if (!answered) throw new SaslError("the server accepted before it asked");
      },
    };
  },
};
