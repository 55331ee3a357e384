import assert from "node:assert/strict";
import { test } from "node:test";
import { postqueue } from "./postqueue.ts";
import { testIo } from "./test-io.ts";

test("what cannot be a queue id is refused in Postfix's words, before anybody is asked", async () => {
  const io = testIo();
  assert.equal(await postqueue(["-i", "bad/id"], io), 69);
  assert.equal(io.written().err, 'postqueue: fatal: Cannot flush queue ID - invalid name: "bad/id"\n');
});
