import assert from "node:assert/strict";
import { test } from "node:test";
import { loginSource, readGiven, withGiven } from "./given.ts";

const known = new Set(["relayhost", "smtp_tls_CAfile", "message_size_limit", "smtp_sasl_auth_enable"]);
const files: Readonly<Record<string, string>> = { "/run/secrets/login": "  secret \n", "/run/secrets/size": "42\n" };
const read = async (path: string): Promise<string> =>
  files[path] ?? Promise.reject(new Error("cannot be read: no such file"));

const given = (env: Readonly<Record<string, string>>) => readGiven(env, read, known);
const written = new Map([["relayhost", { value: "[old]", file: "main.cf", line: 3 }]]);
const values = (settings: ReadonlyMap<string, { readonly value: string }>) =>
  Object.fromEntries([...settings].map(([name, { value }]) => [name, value]));

test("an environment that says nothing changes nothing", async () => {
  const { given: nothing, problems } = await given({ PATH: "/bin", HOME: "/root", POSTFIX_PORT: "tcp://10.0.0.1:25" });
  assert.equal(nothing, undefined);
  assert.deepEqual(problems, []);
  assert.deepEqual(withGiven(written, nothing), written);
});

test("parameters are found in any case, and an empty value takes main.cf's away", async () => {
  const env = {
    POSTFIX_relayhost: "",
    POSTFIX_SMTP_TLS_CAFILE: "/ca",
    POSTFIX_message_size_limit_FILE: "/run/secrets/size",
  };
  const result = await given(env);
  assert.deepEqual(result.problems, []);
  assert.deepEqual(values(withGiven(written, result.given)), { smtp_tls_CAfile: "/ca", message_size_limit: "42" });
});

test("where a value is from can be told", async () => {
  const { given: found } = await given({ POSTFIX_relayhost: "[new]" });
  assert.deepEqual(withGiven(written, found).get("relayhost"), {
    ...{ value: "[new]", file: "the environment (POSTFIX_relayhost)", line: 0 },
  });
});

test("a name that nobody knows is named, with the nearest one, and those of Kubernetes are not", async () => {
  const { given: found } = await given({
    ...{ POSTFIX_relayhots: "x", POSTFIX_SERVICE_HOST: "10.0.0.1", POSTFIX_PORT_25_TCP: "x" },
  });
  assert.deepEqual(
    found?.warnings.map(({ text, remedy }) => `${text}. ${remedy}`),
    ["POSTFIX_relayhots names no parameter, and is ignored. Did you mean POSTFIX_relayhost?"],
  );
  assert.deepEqual(found?.settings, {});
});

test("a login is no parameter's value, and is offered under TLS alone", async () => {
  const { given: found, problems } = await given({
    ...{ RELAYHOST: "[smtp.x.example]:587", RELAYHOST_USERNAME: "user", RELAYHOST_PASSWORD_FILE: "/run/secrets/login" },
  });
  assert.deepEqual(problems, []);
  assert.equal(found?.login, "user:secret");
  const settings = withGiven(new Map(), found);
  assert.deepEqual(values(settings), {
    relayhost: "[smtp.x.example]:587",
    smtp_sasl_auth_enable: "yes",
    smtp_sasl_password_maps: "given:relayhost",
    smtp_sasl_tls_security_options: "noanonymous",
    smtp_tls_security_level: "encrypt",
  });
  assert.ok(!JSON.stringify([...settings]).includes("secret"));
  assert.equal(loginSource("user:secret", ["[a]:587", "b"]), "[a]:587 user:secret\nb user:secret\n");
});

test("what is written of TLS, mechanisms and passwords stays", async () => {
  const own = { file: "main.cf", line: 1 };
  const { given: found } = await given({
    RELAYHOST_USERNAME: "u",
    RELAYHOST_PASSWORD: "p",
    RELAYHOST_TLS_LEVEL: "may",
  });
  const settings = withGiven(
    new Map([
      ["smtp_sasl_password_maps", { ...own, value: "hash:/etc/postfix/sasl_passwd" }],
      ["smtp_sasl_security_options", { ...own, value: "noanonymous" }],
    ]),
    found,
  );
  assert.equal(settings.get("smtp_sasl_password_maps")?.value, "given:relayhost, hash:/etc/postfix/sasl_passwd");
  assert.equal(settings.get("smtp_tls_security_level")?.value, "may");
  assert.ok(!settings.has("smtp_sasl_tls_security_options"));
});

test("half a login, two sources of one value and a file that is not there are problems that show no secret", async () => {
  const texts = async (env: Readonly<Record<string, string>>) => (await given(env)).problems.map(({ text }) => text);
  assert.deepEqual(await texts({ RELAYHOST_PASSWORD: "hidden" }), [
    "RELAYHOST_PASSWORD is set, and RELAYHOST_USERNAME is not",
  ]);
  assert.deepEqual(await texts({ RELAYHOST_USERNAME: "u:v", RELAYHOST_PASSWORD: "hidden" }), [
    "RELAYHOST_USERNAME has a colon or white space in it",
  ]);
  assert.deepEqual(await texts({ RELAYHOST: "x", RELAYHOST_FILE: "/run/secrets/login" }), [
    "RELAYHOST and RELAYHOST_FILE are both set",
  ]);
  assert.deepEqual(await texts({ POSTFIX_relayhost_FILE: "/gone" }), [
    "POSTFIX_relayhost_FILE: /gone cannot be read: no such file",
  ]);
});
