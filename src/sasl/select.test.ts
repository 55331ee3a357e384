import assert from "node:assert/strict";
import { test } from "node:test";
import { compileFilter, everyMechanism, FilterError, type FilterSources } from "./filter.ts";
import type { SaslProperty } from "./mechanism.ts";
import { offeredLimit, offeredMechanisms } from "./offered.ts";
import { noMechanismText, nothingOfferedWarning, selectMechanism } from "./select.ts";

const nowhere: FilterSources = {
  file: async (path) => {
    throw new Error(`no ${path}`);
  },
  table: (reference) => {
    throw new Error(`no ${reference}`);
  },
};

async function selected(offered: string[], required: SaslProperty[] = [], patterns: string[] = [], sources = nowhere) {
  const filter = await compileFilter(patterns, sources);
  const result = await selectMechanism({ offered, required: new Set(required), filter });
  return result.kind === "mechanism" ? result.mechanism.name : result.why;
}

test("the strongest mechanism is taken, whatever the server's order", async () => {
  assert.equal(await selected(["LOGIN", "PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]), "SCRAM-SHA-256");
  assert.equal(await selected(["LOGIN", "PLAIN", "CRAM-MD5"]), "CRAM-MD5");
  assert.equal(await selected(["LOGIN", "PLAIN"]), "PLAIN");
  assert.equal(await selected(["ANONYMOUS", "LOGIN"]), "LOGIN");
});

test("a mechanism without a property that is required is not taken", async () => {
  assert.equal(await selected(["PLAIN", "LOGIN"], ["noplaintext", "noanonymous"]), "nothing usable");
  assert.equal(await selected(["PLAIN", "CRAM-MD5"], ["noplaintext"]), "CRAM-MD5");
  assert.equal(await selected(["CRAM-MD5", "SCRAM-SHA-1"], ["mutual_auth"]), "SCRAM-SHA-1");
  assert.equal(await selected(["ANONYMOUS"], ["noplaintext"]), "ANONYMOUS");
  assert.equal(await selected(["ANONYMOUS"], ["noanonymous"]), "nothing usable");
  assert.equal(await selected(["SCRAM-SHA-256"], ["forward_secrecy"]), "nothing usable");
});

test("nothing offered, nothing left and nothing usable are told apart", async () => {
  assert.equal(await selected([]), "nothing offered");
  assert.equal(await selected(["PLAIN"], [], ["cram-md5"]), "nothing offered");
  assert.equal(await selected(["GSSAPI"]), "nothing usable");
  assert.equal(await selected(["GSSAPI", "PLAIN"], [], ["gssapi"]), "nothing usable");
});

test("each mechanism that was not taken has its reason", async () => {
  const filter = await compileFilter(["!login", "static:all"], { ...nowhere, table: () => () => "all" });
  const result = await selectMechanism({
    offered: ["LOGIN", "PLAIN", "GSSAPI", "CRAM-MD5", "SCRAM-SHA-1"],
    required: new Set(["noplaintext"]),
    filter,
  });
  assert.deepEqual(result.rejected, [
    { name: "LOGIN", because: "filtered", lacking: [] },
    { name: "PLAIN", because: "lacks properties", lacking: ["noplaintext"] },
    { name: "GSSAPI", because: "unknown here", lacking: [] },
    { name: "CRAM-MD5", because: "weaker than the one taken", lacking: [] },
  ]);
});

test("a filter takes names in any case, files, tables and their opposites, the first match deciding", async () => {
  const sources: FilterSources = {
    file: async () => "# comment\nPlain, cram-md5\n",
    table: (reference) => (key) => (reference === "hash:/x" && key === "login" ? "" : undefined),
  };
  assert.equal(await selected(["PLAIN", "LOGIN"], [], ["Login"]), "LOGIN");
  assert.equal(await selected(["PLAIN", "LOGIN"], [], ["/file"], sources), "PLAIN");
  assert.equal(await selected(["CRAM-MD5", "LOGIN"], [], ["!/file", "login"], sources), "LOGIN");
  assert.equal(await selected(["PLAIN", "LOGIN"], [], ["hash:/x"], sources), "LOGIN");
  assert.equal(await selected(["PLAIN", "LOGIN"], [], ["!!plain"]), "PLAIN");
  assert.equal(await selected(["PLAIN", "LOGIN"], [], ["!plain"]), "nothing offered");
});

test("a table that answers later is waited for", async () => {
  const sources: FilterSources = { ...nowhere, table: () => async (key) => (key === "plain" ? "x" : undefined) };
  assert.equal(await selected(["PLAIN", "LOGIN"], [], ["ldap:/x"], sources), "PLAIN");
});

test("a pattern that is missing, or a circle of files, is an error", async () => {
  await assert.rejects(compileFilter(["!"], nowhere), FilterError);
  await assert.rejects(compileFilter(["/a"], { ...nowhere, file: async () => "/a" }), FilterError);
});

test("an empty filter keeps everything", async () => {
  assert.equal(await compileFilter([], nowhere), everyMechanism);
});

test("AUTH lines add up, in any case and in the old form; no line is not an empty one", () => {
  const lines = ["SIZE 100", "AUTH PLAIN LOGIN", "auth=cram-md5 PLAIN", "AUTHX NO", "AUTH"];
  assert.deepEqual(offeredMechanisms(lines), ["PLAIN", "LOGIN", "CRAM-MD5"]);
  assert.equal(offeredMechanisms(["SIZE 100", "XAUTH PLAIN"]), undefined);
  assert.deepEqual(offeredMechanisms(["AUTH"]), []);
  assert.deepEqual(offeredMechanisms(["AUTH "]), []);
});

test("a list without end is cut off", () => {
  const many = Array.from({ length: 5000 }, (_, index) => `M${index}`).join(" ");
  assert.equal(offeredMechanisms([`AUTH ${many}`])?.length, offeredLimit);
});

test("the texts are those of Postfix with Cyrus SASL", () => {
  assert.equal(
    noMechanismText("nothing usable", "mail.example[192.0.2.1]"),
    "SASL authentication failed; cannot authenticate to server mail.example[192.0.2.1]: no mechanism available",
  );
  assert.equal(
    noMechanismText("nothing offered", "mail.example[192.0.2.1]"),
    "SASL authentication failed: server mail.example[192.0.2.1] offered no compatible authentication mechanisms for this type of connection security",
  );
  const server = "mail.example[192.0.2.1]:25";
  assert.equal(nothingOfferedWarning([], server), `${server} offered null AUTH mechanism list`);
  assert.equal(
    nothingOfferedWarning(["PLAIN", "LOGIN"], server),
    `${server} offered no supported AUTH mechanisms: 'PLAIN LOGIN'`,
  );
});
