import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { realFiles } from "../runtime/files.ts";
import { linesWith, logFiles } from "./log-files.ts";
import { addLine, attemptRuns, newStory } from "./log-story.ts";

const id = "6881B9007B801";
const log = [
  `Nov 25 08:00:00 h postfix/smtpd[1]: ${id}: client=app.example[192.0.2.5], sasl_method=PLAIN, sasl_username=me`,
  `Nov 25 08:00:00 h postfix/cleanup[9]: ${id}: message-id=<1@app.example>`,
  `Nov 25 08:00:00 h postfix/qmgr[9]: ${id}: from=<a@app.example>, size=274, nrcpt=2 (queue active)`,
  `Nov 25 08:00:01 h postfix/smtp[1]: ${id}: to=<b@x.example>, orig_to=<b>, relay=mx.x.example[192.0.2.6]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: (really) done)`,
  `Nov 25 08:00:01 h postfix/smtp[2]: ${id}: to=<c@y.example>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to mx[192.0.2.7]:25: Connection refused)`,
  `Nov 25 08:05:00 h postfix/qmgr[9]: ${id}: from=<a@app.example>, size=274, nrcpt=1 (queue active)`,
  `Nov 25 08:05:01 h postfix/smtp[2]: ${id}: to=<c@y.example>, relay=none, delay=301, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to mx[192.0.2.8]:25: Connection refused)`,
  `Nov 25 08:06:00 h postfix/postsuper[7]: ${id}: expired`,
  `Nov 25 08:10:00 h postfix/qmgr[9]: ${id}: from=<a@app.example>, status=force-expired, returned to sender`,
  `Nov 25 08:10:00 h postfix/bounce[9]: ${id}: sender non-delivery notification: 6881B9007B805`,
  `Nov 25 08:10:00 h postfix/qmgr[9]: ${id}: removed`,
  `Nov 25 08:10:00 h postfix/qmgr[9]: 1${id}: removed`,
  `Nov 25 08:10:00 h other[9]: something about ${id}`,
];

test("a message's life is read from the log: where it came from, attempts, operators, its end", () => {
  const story = newStory(id);
  for (const line of log) addLine(story, line);
  const { attempts, events, ...rest } = story;
  assert.deepEqual(rest, {
    id,
    came: "Nov 25 08:00:00",
    origin: "client=app.example[192.0.2.5], sasl_method=PLAIN, sasl_username=me",
    messageId: "<1@app.example>",
    sender: "a@app.example",
    size_bytes: 274,
    recipients: 2,
    skipped: 0,
  });
  assert.deepEqual(
    attempts.map(({ recipient, relay, status, reason }) => [recipient, relay, status, reason]),
    [
      ["b@x.example", "mx.x.example[192.0.2.6]:25", "sent", "250 2.0.0 Ok: (really) done"],
      ["c@y.example", "none", "deferred", "connect to mx[192.0.2.7]:25: Connection refused"],
      ["c@y.example", "none", "deferred", "connect to mx[192.0.2.8]:25: Connection refused"],
    ],
  );
  assert.deepEqual(
    events.map(({ text }) => text),
    [
      "expired",
      "from=<a@app.example>, status=force-expired, returned to sender",
      "sender non-delivery notification: 6881B9007B805",
      "removed",
    ],
  );
  assert.deepEqual(
    attemptRuns(attempts).map(({ count, last }) => [last.recipient, count]),
    [
      ["b@x.example", 1],
      ["c@y.example", 2],
    ],
  );
});

test("a message that was tried thousands of times is kept in bounded memory, its beginning and its end", () => {
  const story = newStory(id);
  for (let n = 0; n < 5000; n++)
    addLine(story, (log[4] ?? "").replace("08:00:01", `08:00:${String(n % 60).padStart(2, "0")}`));
  assert.deepEqual([story.attempts.length, story.skipped], [2000, 3000]);
});

test("rotated logs are found, the newest first, and read packed or not, line ends and pieces as they come", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "postern-log-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const text = `${"x".repeat(300_000)} ${id}: one\nnothing\n${id}: two\n${"y\n".repeat(200_000)} ${id}: three`;
  const names = ["mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.20261101-000000", "mail.logical", "mail.err"];
  for (const [age, name] of names.entries()) {
    const path = join(directory, name);
    writeFileSync(path, name.endsWith(".gz") ? gzipSync(text) : text);
    utimesSync(path, 1e9 - age, 1e9 - age);
  }
  utimesSync(join(directory, "mail.log"), 1, 1);
  const found = await logFiles(realFiles, join(directory, "mail.log"));
  assert.deepEqual(
    found.map(({ path }) => path.slice(directory.length + 1)),
    ["mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.20261101-000000"],
  );
  for (const { path } of found) {
    const lines: string[] = [];
    for await (const line of linesWith(realFiles, path, [id, "no such"])) lines.push(line.slice(-20));
    assert.deepEqual(lines, [`xxxx ${id}: one`.slice(-20), `${id}: two`, ` ${id}: three`.slice(-20)], path);
  }
  assert.deepEqual(await logFiles(realFiles, join(directory, "no", "mail.log")), []);
});

test("a packed log that is damaged says so", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "postern-log-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "mail.log.1.gz");
  writeFileSync(path, "not packed at all");
  await assert.rejects(async () => {
    for await (const _ of linesWith(realFiles, path, [id]));
  }, /incorrect header check/);
});
