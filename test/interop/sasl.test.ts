import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { realRuntime } from "../../src/runtime/real.ts";
import { AuthExchange } from "../../src/sasl/exchange.ts";
import { everyMechanism } from "../../src/sasl/filter.ts";
import { clientMechanisms } from "../../src/sasl/mechanisms.ts";
import { offeredMechanisms } from "../../src/sasl/offered.ts";
import { selectMechanism } from "../../src/sasl/select.ts";
import { type RunningDovecot, startDovecot } from "../peers/dovecot.ts";
import { missing } from "../peers/place.ts";
import { giveToPostfix, type RunningPostfix, startPostfix } from "../peers/postfix.ts";

/** Our client mechanisms against what servers really run: Dovecot's and Cyrus SASL behind Debian's Postfix. */
const runtime = realRuntime();

const users: Readonly<Record<string, string>> = {
  test: "testpass",
  "user@d.example": "p:a=s,s w%rd",
  long: "x".repeat(380),
};

const common = {
  smtpd_sasl_auth_enable: "yes",
  smtpd_sasl_security_options: "",
  smtpd_relay_restrictions: "permit_sasl_authenticated, reject",
};

interface Talk {
  say(line: string): Promise<{ code: number; text: string; lines: string[] }>;
  close(): void;
}

/** A raw connection: a line out, a reply in. */
async function talk(port: number): Promise<Talk> {
  const connection = await runtime.net.connect({ address: "127.0.0.1", port, timeout_ms: 10_000 });
  let received = "";
  let wake = () => {};
  const woken = () => wake();
  let ended = false;
  const end = () => {
    ended = true;
    woken();
  };
  connection.listen({
    data(bytes) {
      received += bytes.toString("utf8");
      woken();
    },
    ended: end,
    drained() {},
    closed: end,
  });
  const reply = async () => {
    for (;;) {
      const [whole] = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(received) ?? [];
      if (whole !== undefined) {
        received = received.slice(whole.length);
        const lines = whole
          .trimEnd()
          .split("\r\n")
          .map((line) => line.slice(4));
        return { code: Number(whole.slice(0, 3)), text: lines.join(" "), lines };
      }
      assert.ok(!ended, "the server hung up");
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  assert.equal((await reply()).code, 220);
  const say: Talk["say"] = (line) => {
    connection.write(`${line}\r\n`);
    return reply();
  };
  return { say, close: () => connection.destroy() };
}

interface Login {
  readonly outcome: string;
  readonly text: string;
  /** The reply to MAIL and RCPT afterwards: may we relay? */
  readonly relays: boolean;
}

async function login(port: number, name: string, username: string, password: string): Promise<Login> {
  const mechanism = clientMechanisms.find((each) => each.name === name);
  assert.ok(mechanism);
  const session = await talk(port);
  try {
    const { lines } = await session.say("EHLO client.example");
    assert.ok(offeredMechanisms(lines)?.includes(name), `${name} is offered: ${lines.join(" | ")}`);
    const random = (count: number) => runtime.random.bytes(count);
    const context = {
      username,
      password,
      service: "smtp",
      host: "peer.example",
      random,
      crypto: runtime.crypto,
    } as const;
    const exchange = new AuthExchange({ mechanism, context, server: "peer.example[127.0.0.1]", softBounce: true });
    let action = await exchange.start();
    while (action.kind === "send") {
      const { code, text } = await session.say(action.line);
      action = await exchange.onReply(code, text);
    }
    await session.say("MAIL FROM:<a@b.example>");
    const relays = (await session.say("RCPT TO:<c@d.example>")).code === 250;
    if (action.kind === "failed") return { outcome: action.failure.why, text: action.failure.text, relays };
    return { outcome: "done", text: "", relays };
  } finally {
    session.close();
  }
}

function suite(peer: () => RunningPostfix, names: readonly string[], realm: string): void {
  for (const name of names) {
    test(`${name} logs in with each user's password`, async () => {
      for (const [user, password] of Object.entries(users)) {
        const { outcome, text, relays } = await login(
          peer().port,
          name,
          user.includes("@") ? user : user + realm,
          password,
        );
        assert.equal(outcome, "done", `${user}: ${text}\n${peer().log()}`);
        assert.ok(relays);
      }
    });

    test(`${name} with a wrong password or user is refused, and the failure does not show what was sent`, async () => {
      for (const [user, password] of [
        ["test", "wrongpass"],
        ["nobody", "testpass"],
      ] as const) {
        const { outcome, text, relays } = await login(peer().port, name, user + realm, password);
        assert.equal(outcome, "refused", text);
        assert.match(text, /^SASL authentication failed; server peer\.example\[127\.0\.0\.1\] said: 535 5\.7\.8 /);
        assert.ok(!text.includes(password));
        assert.ok(!relays);
      }
    });
  }

  test("the strongest of what is offered is chosen", async () => {
    const session = await talk(peer().port);
    const { lines } = await session.say("EHLO client.example");
    session.close();
    const offered = offeredMechanisms(lines) ?? [];
    const selected = await selectMechanism({ offered, required: new Set(["noplaintext"]), filter: everyMechanism });
    assert.ok(selected.kind === "mechanism");
    assert.equal(selected.mechanism.name, "SCRAM-SHA-256");
  });
}

const strong = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"];

describe("Dovecot", { skip: missing("postfix", "dovecot") ?? false }, () => {
  let dovecot: RunningDovecot | undefined;
  let postfix: RunningPostfix;

  before(async () => {
    dovecot = await startDovecot({ users });
    const mainCf = { ...common, smtpd_sasl_type: "dovecot", smtpd_sasl_path: dovecot.socket };
    postfix = await startPostfix({ mainCf });
  });

  after(async () => {
    await postfix?.stop();
    await dovecot?.stop();
  });

  suite(() => postfix, strong, "");
});

describe("Cyrus SASL", { skip: missing("postfix", "saslpasswd2") ?? false }, () => {
  let postfix: RunningPostfix;

  before(async () => {
    postfix = await startPostfix({
      mainCf: {
        ...common,
        smtpd_sasl_type: "cyrus",
        smtpd_sasl_path: "smtpd",
        smtpd_sasl_local_domain: "peer.example",
      },
      files: {
        // Debian's Postfix reads Cyrus SASL's settings from the directory sasl beside main.cf.
        "etc/sasl/smtpd.conf": `pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: @DIRECTORY@/sasldb2
mech_list: ${strong.join(" ")} ANONYMOUS
`,
      },
      prepare(directory) {
        const file = join(directory, "sasldb2");
        for (const [user, password] of Object.entries(users)) {
          const [name = "", realm = "peer.example"] = user.split("@");
          const made = spawnSync("saslpasswd2", ["-p", "-c", "-f", file, "-u", realm, name], { input: password });
          assert.equal(made.status, 0, made.stderr.toString());
        }
        giveToPostfix(file);
      },
    });
  });

  after(() => postfix?.stop());

  suite(() => postfix, strong, "");

  test("ANONYMOUS is let in where the server offers it", async () => {
    assert.equal((await login(postfix.port, "ANONYMOUS", "test", "testpass")).outcome, "done");
  });
});
