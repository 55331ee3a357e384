import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cannotTell, serveTables, type TestServer, testTables } from "../test-servers.ts";
import { BerError, BerReader, element, integer, octets, sequence, tag } from "./ber.ts";
import { encodeFilter, FilterError, quoteForFilter, quoteForName } from "./filter.ts";
import { messageLength, parseResponse } from "./messages.ts";
import { parseLdapUrl } from "./url.ts";

const result = (number: number, operation: number, code = 0, text = ""): Buffer =>
  sequence(integer(number), element(operation, integer(code, tag.enumerated), octets(""), octets(text)));
const entry = (number: number, ...values: readonly (string | Buffer)[]): Buffer => {
  const attribute = sequence(octets("mail"), element(tag.set, ...values.map((value) => octets(value))));
  return sequence(integer(number), element(0x64, octets("cn=x"), sequence(attribute)));
};
const [bound, found, extended] = [0x61, 0x65, 0x78];

/** Something that speaks LDAP: it lets everybody in, and answers searches as the test says. */
function directory(search: (number: number) => Buffer): Promise<TestServer> {
  return serveTables((socket) => {
    socket.on("data", (bytes: Buffer) => {
      const message = new BerReader(bytes).inside(tag.sequence);
      const number = message.integer();
      if (message.nextTag === 0x60) socket.write(result(number, bound));
      else if (message.nextTag === 0x63) socket.write(search(number));
    });
  });
}

async function tableAt({ port }: TestServer, more = "") {
  const table = `server_host = 127.0.0.1:${port}\nbind_dn = cn=me\nbind_pw = secret\nquery_filter = (cn=%s)\nresult_attribute = mail\n${more}`;
  const tables = testTables({ "/l.cf": table });
  return { ...tables, maps: await tables.set.maps(["ldap:/l.cf"], { foldCase: true }) };
}

test("values are found, in pieces as they may come", async (context) => {
  const server = await serveTables((socket) =>
    socket.on("data", (bytes: Buffer) => {
      const message = new BerReader(bytes).inside(tag.sequence);
      const number = message.integer();
      const answer =
        message.nextTag === 0x60
          ? result(number, bound)
          : Buffer.concat([entry(number, "a", "b"), entry(number, "c"), result(number, found)]);
      for (const byte of answer) socket.write(Buffer.from([byte]));
    }),
  );
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  assert.equal(await maps.find("k"), "a,b,c");
  await set.close();
});

test("what is no answer, or one to something else, cannot be told", async (context) => {
  const wrong: readonly ((number: number) => Buffer)[] = [
    () => Buffer.alloc(50, 0xff),
    () => Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
    (number) => result(number + 1, found),
    (number) => result(number, bound),
    (number) => result(number, extended),
    () => result(0, extended, 52, "going away"),
    (number) => Buffer.concat([entry(number, "a"), Buffer.from([0x30, 0x80])]),
    (number) => sequence(integer(number), element(found, integer(0))),
    (number) => Buffer.concat([entry(number, Buffer.from([0xff])), result(number, found)]),
    () => Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]),
  ];
  for (const search of wrong) {
    const server = await directory(search);
    context.after(() => server.close());
    const { maps, set, warnings } = await tableAt(server);
    await assert.rejects(async () => maps.find("k"), cannotTell(/query error/));
    assert.doesNotMatch(warnings.join(), /secret/);
    await set.close();
  }
});

test("an answer without end is cut off", async (context) => {
  const server = await serveTables((socket) =>
    socket.on("data", (bytes: Buffer) => {
      const message = new BerReader(bytes).inside(tag.sequence);
      const number = message.integer();
      if (message.nextTag === 0x60) return socket.write(result(number, bound));
      const more = Buffer.concat(Array.from({ length: 1000 }, () => entry(number, "x".repeat(100))));
      const go = (): void => {
        while (!socket.destroyed && socket.write(more));
      };
      socket.on("drain", go);
      go();
    }),
  );
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  await assert.rejects(async () => maps.find("k"), cannotTell(/longer than 16777216 bytes/));
  await set.close();
});

test("a server that says nothing has a time limit", async (context) => {
  let heard = (): void => {};
  const searched = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const server = await directory(() => {
    heard();
    return Buffer.alloc(0);
  });
  context.after(() => server.close());
  const { maps, set, clock } = await tableAt(server, "timeout = 3\n");
  const asked = assert.rejects(async () => maps.find("k"), cannotTell(/no answer in 3 seconds/));
  await searched;
  clock.advance(3000);
  await asked;
  await set.close();
});

test("no password goes over a connection that was to be secured and is not", async (context) => {
  const heard: Buffer[] = [];
  const server = await serveTables((socket) =>
    socket.on("data", (bytes: Buffer) => {
      heard.push(bytes);
      socket.write(result(1, extended, 2, "not here"));
    }),
  );
  context.after(() => server.close());
  const { maps, set } = await tableAt(server, "start_tls = yes\n");
  await assert.rejects(async () => maps.find("k"), cannotTell(/Protocol error/));
  assert.doesNotMatch(Buffer.concat(heard).toString("latin1"), /secret/);
  await set.close();
});

test("what came in clear behind the answer to StartTLS ends the connection", async (context) => {
  const server = await serveTables((socket) =>
    socket.on("data", () => socket.write(Buffer.concat([result(1, extended), result(2, bound)]))),
  );
  context.after(() => server.close());
  const { maps, set } = await tableAt(server, "start_tls = yes\n");
  await assert.rejects(async () => maps.find("k"), cannotTell(/spoke before TLS began|answer to nothing|closed/));
  await set.close();
});

test("any bytes are a message, or a BerError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const message of [Buffer.from(bytes), sequence(integer(1), element(0x64, bytes)), sequence(bytes)]) {
        try {
          messageLength(message);
          parseResponse(message);
        } catch (error) {
          assert.ok(error instanceof BerError);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("whatever the key, a filter stays the filter that it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (key) => {
      const wellFormed = key.toWellFormed();
      const filter = new BerReader(encodeFilter(`(&(mail=${quoteForFilter(wellFormed)})(x=1))`)).inside(0xa0);
      const equal = filter.inside(0xa3);
      assert.equal(equal.take(tag.octets).toString(), "mail");
      assert.equal(equal.take(tag.octets).toString(), wellFormed);
      filter.take(0xa3);
      assert.ok(filter.atEnd);
    }),
  );
});

test("whatever the key, a piece of a name has nothing in it that ends it", () => {
  fc.assert(fc.property(fc.string(), (key) => assert.doesNotMatch(quoteForName(key), /[ "#+,;<>]|\\(?![0-9A-F]{2})/)));
});

test("a filter that is none is refused", () => {
  for (const text of [
    "",
    "(",
    "(a=b",
    "a",
    "(a=b))",
    "(&(a=b)",
    "(!(a=b)(c=d))",
    "(a b=c)",
    "(a=\\)",
    "(=x)",
    "(:=x)",
    `${"(&".repeat(100)}`,
  ]) {
    assert.throws(() => encodeFilter(text), FilterError, text);
  }
});

test("a URL is taken apart, or refused", () => {
  const plain = {
    secure: false,
    host: "h",
    port: 389,
    base: "",
    attributes: [],
    scope: "base",
    filter: "(objectClass=*)",
  };
  assert.deepEqual(parseLdapUrl("ldap://h"), plain);
  assert.deepEqual(parseLdapUrl("ldaps://[::1]:1/dc=a%20b?x,y?sub?(a=b)"), {
    ...{ secure: true, host: "::1", port: 1, base: "dc=a b", attributes: ["x", "y"], scope: "sub", filter: "(a=b)" },
  });
  assert.equal(parseLdapUrl("ldapi://%2Frun%2Fldapi/")?.host, "/run/ldapi");
  for (const text of ["http://x", "ldap://h/x??deep", "ldap://h/%zz", "ldap://h:x/", "ldap:///a????!ext"]) {
    assert.equal(parseLdapUrl(text), undefined, text);
  }
});
