import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { type Files, realFiles } from "../runtime/files.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { realRuntime } from "../runtime/real.ts";
import { Pickup, type Submission, type SubmissionResult } from "./pickup.ts";
import type { SubmissionHead } from "./submission-file.ts";
import { Submit, SubmitError } from "./submit.ts";

const runtime = realRuntime();
const head: SubmissionHead = {
  version: 1,
  sender: "a@example.com",
  recipients: ["b@example.com"],
  fullName: "",
  notify: undefined,
  ret: undefined,
  envid: undefined,
  crlf: false,
  smtputf8: false,
  service: "sendmail",
  gateway: false,
};

interface Taken extends Submission {
  readonly text: string;
}

/** A maildrop directory, and a pickup that looks into it when it is told to. */
class Place {
  readonly directory = join(mkdtempSync(join(tmpdir(), "postern-pickup-")), "maildrop");
  readonly taken: Taken[] = [];
  readonly log = memoryLog();
  readonly clock = new ManualClock(Date.now());
  readonly abandoned: string[] = [];
  answer: (submission: Submission) => SubmissionResult | Promise<SubmissionResult> = () => ({ kind: "taken" });
  authorized: (uid: number) => boolean | Promise<boolean> = () => true;
  pickup: Pickup;

  constructor(options: { readonly files?: Files; readonly scanLimit?: number } = {}) {
    mkdirSync(this.directory);
    this.pickup = this.make(options);
    places.push(this);
  }

  make({ files = realFiles, scanLimit = 1000 }: { readonly files?: Files; readonly scanLimit?: number } = {}): Pickup {
    // Notices of the kernel would come at any time: looking is done by the clock alone.
    const quiet = { ...files, watch: () => ({ close() {} }) };
    return new Pickup({
      directory: this.directory,
      files: quiet,
      clock: this.clock,
      log: this.log,
      scanLimit,
      ports: { authorized: (uid) => this.authorized(uid), begin: (submission) => this.#begin(submission) },
    });
  }

  #begin(submission: Submission) {
    const parts: Buffer[] = [];
    return {
      data: (bytes: Buffer) => void parts.push(bytes),
      finish: async () => {
        const result = await this.answer(submission);
        if (result.kind === "taken") this.taken.push({ ...submission, text: Buffer.concat(parts).toString("latin1") });
        return result;
      },
      abandon: () => void this.abandoned.push(submission.source),
    };
  }

  async submit(text: string, as: Partial<SubmissionHead> = {}): Promise<string> {
    const submit = await Submit.begin(runtime, this.directory, { ...head, ...as });
    await submit.data(Buffer.from(text, "latin1"));
    return join(this.directory, await submit.finish());
  }

  /** One look; resolves when it is over. */
  async look(): Promise<void> {
    const before = this.clock.next_ms;
    if (before === undefined) this.pickup.start();
    this.clock.advance(this.clock.next_ms ?? 0);
    while (this.clock.next_ms === undefined) await new Promise((resolve) => setImmediate(resolve));
  }

  get names(): string[] {
    return readdirSync(this.directory);
  }
}

const places: Place[] = [];
afterEach(async () => {
  for (const place of places.splice(0)) {
    await place.pickup.close();
    rmSync(join(place.directory, ".."), { recursive: true, force: true });
  }
});

const root = process.getuid?.() === 0 ? false : "needs root";

test("what sendmail has written is taken, byte for byte, and removed", async () => {
  const place = new Place();
  await place.submit("Subject: x\n\n\xff\x00 no end", { sender: undefined, notify: ["NEVER"], smtputf8: true });
  await place.submit("");
  await place.look();
  const [first] = place.taken.filter(({ text }) => text !== "");
  assert.equal(first?.text, "Subject: x\n\n\xff\x00 no end");
  assert.deepEqual(first?.head, { ...head, sender: undefined, notify: ["NEVER"], smtputf8: true });
  assert.equal(first?.uid, process.getuid?.());
  assert.equal(place.taken.length, 2);
  assert.deepEqual(place.names, []);
});

test("a message that is larger than any buffer is taken whole", async () => {
  const place = new Place();
  const text = `Subject: x\n\n${"line of text\n".repeat(40_000)}`;
  await place.submit(text, { recipients: Array.from({ length: 5000 }, (_, index) => `user${index}@example.com`) });
  await place.look();
  assert.equal(place.taken[0]?.text, text);
  assert.equal(place.taken[0]?.head.recipients.length, 5000);
});

test("a file is its author's and the directory's group's alone until it is complete", async () => {
  const place = new Place();
  const submit = await Submit.begin(runtime, place.directory, head);
  const [name = ""] = place.names;
  const mode = () => statSync(join(place.directory, name)).mode & 0o7777;
  assert.equal(mode(), 0o640);
  await place.look();
  assert.equal(place.taken.length, 0);
  await submit.finish();
  assert.equal(mode(), 0o740);
  await place.look();
  assert.equal(place.taken.length, 1);
});

test("what is written and given up leaves nothing behind", async () => {
  const place = new Place();
  const submit = await Submit.begin(runtime, place.directory, head);
  await submit.data(Buffer.from("x"));
  await submit.abandon();
  assert.deepEqual(place.names, []);
});

test("what could never be taken is refused to its author, and leaves nothing behind", async () => {
  const place = new Place();
  const refused = (as: Partial<SubmissionHead>, text: RegExp) =>
    assert.rejects(Submit.begin(runtime, place.directory, { ...head, ...as }), (error) => {
      return error instanceof SubmitError && text.test(error.message);
    });
  await refused({ recipients: [] }, /^the message names no recipients$/);
  await refused({ recipients: ["x".repeat(3000)] }, /^the message has an address of more than 2048 characters$/);
  await refused({ recipients: Array.from({ length: 100_001 }, () => "a") }, /more than 100000 recipients/);
  await refused({ recipients: Array.from({ length: 9000 }, () => "x".repeat(1000)) }, /more than 8388608 bytes/);
  assert.deepEqual(place.names, []);
});

test("the creation mask is as it was", async () => {
  const place = new Place();
  const before = process.umask(0o077);
  try {
    const path = await place.submit("x\n");
    assert.equal(process.umask(0o077), 0o077);
    assert.equal(statSync(path).mode & 0o777, 0o740);
  } finally {
    process.umask(before);
  }
});

test("a directory that is not there, or not for us, is told with what to do", async () => {
  await assert.rejects(Submit.begin(runtime, "/nonexistent/maildrop", head), (error) => {
    return error instanceof SubmitError && /no such directory: start Postern once as root/.test(error.message);
  });
});

test("a file that lacks its end, or of which a byte has changed, is reported once and never taken", async () => {
  const place = new Place();
  const torn = await place.submit("Subject: torn\n\nbody\n");
  truncateSync(torn, statSync(torn).size - 1);
  const changed = await place.submit("Subject: changed\n\nbody\n");
  writeFileSync(changed, readFileSync(changed).toString().replace("body", "bodY"));
  const longer = await place.submit("Subject: longer\n\nbody\n");
  writeFileSync(longer, readFileSync(longer).toString().replace("body", "bodies"));
  const empty = join(place.directory, "EMPTY");
  writeFileSync(empty, "", { mode: 0o740 });
  await place.look();
  await place.look();
  assert.equal(place.taken.length, 0);
  assert.equal(place.names.length, 4);
  assert.deepEqual(
    place.log.lines.map((line) => line.replace(/maildrop\/[0-9A-F]{20}/, "NAME")).sort(),
    [
      "test: warning: NAME does not match its checksum: left where it is",
      "test: warning: NAME has no last line: it was not written to its end: left where it is",
      "test: warning: NAME is not as long as its last line says: left where it is",
      "test: warning: maildrop/EMPTY has no last line: it was not written to its end: left where it is",
    ].sort(),
  );
  assert.equal(place.abandoned.length, 2, "once a look");
});

test("links, FIFOs and directories are reported, and do not hold up the others", { timeout: 10_000 }, async () => {
  const place = new Place();
  const good = await place.submit("good\n");
  linkSync(await place.submit("linked\n"), join(place.directory, "..", "outside"));
  symlinkSync(good, join(place.directory, "SYMLINK"));
  mkdirSync(join(place.directory, "DIRECTORY"), { mode: 0o740 });
  execFileSync("mkfifo", ["-m", "0740", join(place.directory, "FIFO")]);
  await place.look();
  assert.deepEqual(
    place.taken.map(({ text }) => text),
    ["good\n"],
  );
  const said = place.log.lines.join("\n");
  assert.match(said, /SYMLINK cannot be opened: ELOOP: left where it is/);
  assert.match(said, /DIRECTORY is not a regular file/);
  assert.match(said, /FIFO is not a regular file/);
  assert.match(said, /has 2 links/);
});

test("the owner of the file is the user that submits", { skip: root }, async () => {
  const place = new Place();
  const path = await place.submit("x\n");
  chownSync(path, 65534, 0);
  place.authorized = async (uid) => uid !== 65534;
  await place.look();
  assert.equal(place.taken.length, 0);
  assert.match(place.log.lines.join(), /is of user 65534, who is not in authorized_submit_users: left where it is/);
  const other = await place.submit("y\n");
  chownSync(other, 1234, 0);
  await place.look();
  assert.equal(place.taken[0]?.uid, 1234);
});

test("a file that was never finished is removed after a day, and not before", async () => {
  const place = new Place();
  const submit = await Submit.begin(runtime, place.directory, head);
  await place.look();
  assert.equal(place.names.length, 1);
  place.clock.jump(25 * 3600_000);
  await place.look();
  assert.equal(place.names.length, 0);
  assert.match(place.log.lines.join(), /removing maildrop\/\w+ of user \d+: it was never finished/);
  await submit.abandon();
});

test("what cannot be taken now stays, is said once, and is tried again", async () => {
  const place = new Place();
  place.answer = () => ({ kind: "retry", reason: "Insufficient system storage" });
  const path = await place.submit("x\n");
  await place.look();
  assert.equal(place.clock.next_ms, 10_000);
  await place.look();
  assert.ok(existsSync(path));
  assert.deepEqual(place.log.lines.length, 1);
  place.answer = () => ({ kind: "taken" });
  await place.look();
  assert.equal(place.taken.length, 1);
  assert.ok(!existsSync(path));
});

test("whatever goes wrong with one file, the others are taken", async () => {
  const place = new Place();
  await place.submit("bad\n", { sender: "bad@example.com" });
  for (let count = 0; count < 30; count++) await place.submit("good\n");
  place.answer = ({ head: { sender } }) => {
    if (sender === "bad@example.com") throw new TypeError("a bug");
    return { kind: "taken" };
  };
  await place.look();
  assert.equal(place.taken.length, 30);
  assert.equal(place.names.length, 1);
  assert.match(place.log.lines.join(), /TypeError: a bug; it stays and is tried again/);
});

test("a file that cannot be removed is taken once, and known by the same source to another relay", async () => {
  const stuck: Files = {
    ...realFiles,
    remove: async () => Promise.reject(Object.assign(new Error("no"), { code: "EROFS" })),
  };
  const place = new Place({ files: stuck });
  await place.submit("x\n");
  await place.look();
  await place.look();
  assert.equal(place.taken.length, 1);
  assert.match(place.log.lines.join(), /was taken, and cannot be removed \(EROFS\)/);
  await place.pickup.close();
  place.pickup = place.make();
  place.pickup.start();
  place.clock.advance(0);
  while (place.names.length > 0) await new Promise((resolve) => setImmediate(resolve));
  const [first, second] = place.taken.map(({ source }) => source);
  assert.ok(first);
  assert.equal(first, second);
});

test("a directory with more files than a scan looks at is worked through", async () => {
  const place = new Place({ scanLimit: 3 });
  for (let count = 0; count < 4; count++) writeFileSync(join(place.directory, `A${count}`), "junk", { mode: 0o740 });
  for (let count = 0; count < 4; count++) await place.submit("x\n");
  for (let count = 0; count < 6; count++) await place.look();
  assert.equal(place.taken.length, 4);
});

test("closing waits for what is in hand, and begins nothing more", async () => {
  const place = new Place();
  for (let count = 0; count < 30; count++) await place.submit("x\n");
  const going = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  place.answer = async () => {
    begun.resolve();
    await going.promise;
    return { kind: "taken" };
  };
  place.pickup.start();
  place.clock.advance(0);
  await begun.promise;
  const closed = place.pickup.close();
  going.resolve();
  await closed;
  assert.ok(place.taken.length > 0 && place.taken.length < 30, `${place.taken.length} were taken`);
  assert.equal(place.names.length, 30 - place.taken.length);
});

test("the mark of completeness is the owner's execute bit alone", async () => {
  const place = new Place();
  const path = await place.submit("x\n");
  chmodSync(path, 0o651);
  await place.look();
  assert.equal(place.taken.length, 0);
  const now_s = place.clock.now() / 1000;
  utimesSync(path, now_s, now_s);
  chmodSync(path, 0o700);
  await place.look();
  assert.equal(place.taken.length, 1);
});
