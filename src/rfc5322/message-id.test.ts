import assert from "node:assert/strict";
import { test } from "node:test";
import { messageId } from "./message-id.ts";

test("a message id is the second in UTC, the queue id and the host", () => {
  assert.equal(messageId("4ABC", "mx.example", Date.UTC(2026, 0, 5, 9, 3, 7)), "<20260105090307.4ABC@mx.example>");
});
