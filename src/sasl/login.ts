import { type ClientMechanism, SaslError } from "./mechanism.ts";

/**
 * LOGIN (draft-murchison-sasl-login-00): the server asks for the user name,
 * then for the password. What the questions say is not looked at: servers
 * word them in many ways, and the order is all that is certain.
 */
export const login: ClientMechanism = {
  name: "LOGIN",
  properties: new Set(["noanonymous"]),

  start({ username, password }) {
    if (!username) throw new SaslError("the user name is empty");
    const answers = [Buffer.from(username), Buffer.from(password)];
    return {
      initialResponse: undefined,

      step() {
        const answer = answers.shift();
        if (!answer) throw new SaslError("LOGIN has two questions, and the server asked another");
        return answer;
      },

      finish() {
        if (answers.length > 0) throw new SaslError("the server accepted before it asked");
      },
    };
  },
};
