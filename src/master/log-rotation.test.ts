import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { realClock } from "../runtime/clock.ts";
import { realFiles } from "../runtime/files.ts";
import { realProcesses } from "../runtime/processes.ts";
import { rotateLog, timeSuffix } from "./log-rotation.ts";
import { MailLog, type MailLogConf, MailLogError, type MailLogWorld } from "./mail-log.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "postern-log-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const world = { files: realFiles, processes: realProcesses, env: { PATH: process.env.PATH ?? "" } };
const path = () => join(directory, "mail.log");

const conf = (more: Partial<MailLogConf> = {}): MailLogConf => ({
  maillog_file: path(),
  maillog_file_prefixes: ["/var", directory],
  maillog_file_permissions: "0640",
  syslog_facility: "mail",
  syslog_name: "postfix",
  ...more,
});

function logWorld(more: Partial<MailLogWorld> = {}): MailLogWorld & { readonly written: string[] } {
  const written: string[] = [];
  const output = async (bytes: Uint8Array): Promise<void> => void written.push(Buffer.from(bytes).toString());
  const syslog = async () => undefined;
  return {
    files: realFiles,
    clock: realClock,
    host: "mx",
    pid: 7,
    output,
    background: false,
    syslog,
    written,
    ...more,
  };
}

test("a suffix is what strftime makes of it", () => {
  const time_ms = Date.UTC(2026, 0, 2, 3, 4, 5);
  assert.equal(timeSuffix("%Y%m%d-%H%M%S", time_ms), "20260102-030405");
  assert.equal(timeSuffix("%s.%%.%q", time_ms), `${time_ms / 1000}.%.%q`);
});

test("a rotation keeps every line, in the old file or the new one", async () => {
  const mailLog = await MailLog.open(logWorld(), conf());
  mailLog.log.info("before");
  await rotateLog(world, path(), "1", "gzip", () => mailLog.reopen());
  mailLog.log.info("after");
  mailLog.append("a relay's\n");
  await mailLog.flush();
  assert.deepEqual(readdirSync(directory).sort(), ["mail.log", "mail.log.1.gz"]);
  assert.match(readFileSync(path(), "utf8"), /^\w{3} .\d [\d:]+ mx postfix\/master\[7\]: after\na relay's\n$/);
  await rotateLog(world, path(), "2", "", () => mailLog.reopen());
  assert.match(readFileSync(join(directory, "mail.log.2"), "utf8"), /after/);
  assert.equal(statSync(path()).mode & 0o777, 0o640 & ~process.umask());
  await mailLog.close();
});

test("an earlier log is never overwritten, compressed or not", async () => {
  writeFileSync(path(), "new");
  for (const name of ["mail.log.1", "mail.log.1.gz"]) {
    writeFileSync(join(directory, name), "old");
    await assert.rejects(
      rotateLog(world, path(), "1", "gzip", async () => {}),
      /is there already: try again in a second/,
    );
    assert.equal(readFileSync(join(directory, name), "utf8"), "old");
    rmSync(join(directory, name));
  }
  assert.equal(readFileSync(path(), "utf8"), "new");
});

test("where no new log can be begun, the old one keeps its name", async () => {
  writeFileSync(path(), "old");
  await assert.rejects(
    rotateLog(world, path(), "1", "gzip", () => Promise.reject(new Error("no space"))),
    /no space/,
  );
  assert.equal(readFileSync(path(), "utf8"), "old");
});

test("a compressor that is missing or fails is named", async () => {
  writeFileSync(path(), "");
  await assert.rejects(
    rotateLog(world, path(), "1", "false", async () => {}),
    /^Error: false .*mail\.log\.1: exit status 1$/,
  );
  writeFileSync(path(), "");
  await assert.rejects(
    rotateLog(world, path(), "2", "/nonexistent/gzip", async () => {}),
    /ENOENT/,
  );
  assert.ok(existsSync(`${path()}.2`));
});

test("a log file outside the prefixes, behind a link, or in no directory, is refused by name", async () => {
  const refusal = (text: RegExp) => (error: unknown) => error instanceof MailLogError && text.test(error.message);
  await assert.rejects(
    MailLog.open(logWorld(), conf({ maillog_file: "/etc/passwd" })),
    refusal(/does not begin with one of maillog_file_prefixes/),
  );
  await assert.rejects(
    MailLog.open(logWorld(), conf({ maillog_file: join(directory, "no/such/file") })),
    refusal(/ENOENT/),
  );
  symlinkSync("/etc/passwd", join(directory, "link"));
  await assert.rejects(MailLog.open(logWorld(), conf({ maillog_file: join(directory, "link") })), refusal(/ELOOP/));
});

test("standard output is written to, whatever it is", async () => {
  const io = logWorld();
  const mailLog = await MailLog.open(io, conf({ maillog_file: "/dev/stdout" }));
  mailLog.log.warning("text");
  await mailLog.flush();
  assert.match(io.written.join(""), /mx postfix\/master\[7\]: warning: text\n$/);
  assert.deepEqual([mailLog.syslog, mailLog.notes], [false, []]);
  await mailLog.reopen();
});

test("without maillog_file the log goes to syslog, where somebody listens", async () => {
  const sent: string[] = [];
  const send = (datagram: Buffer) => sent.push(datagram.toString()) > 0;
  const io = logWorld({ syslog: async () => ({ send, heard: () => true }) });
  const mailLog = await MailLog.open(io, conf({ maillog_file: "" }));
  mailLog.log.info("text");
  assert.match(sent[0] ?? "", /^<22>\w{3} .\d [\d:]+ postfix\/master\[7\]: text$/);
  assert.deepEqual([mailLog.syslog, mailLog.notes, io.written], [true, [], []]);
  await assert.rejects(MailLog.open(io, conf({ maillog_file: "", syslog_facility: "post" })), /no such facility/);
});

test("where nobody listens on /dev/log, the start says so, and in the foreground the log goes to standard output", async () => {
  const deaf = async () => ({ send: () => false, heard: () => false });
  const io = logWorld({ syslog: deaf });
  const foreground = await MailLog.open(io, conf({ maillog_file: "" }));
  foreground.log.info("text");
  await foreground.flush();
  assert.match(io.written.join(""), /text\n$/);
  assert.match(
    foreground.notes.join(),
    /no syslog daemon listens on \/dev\/log: the mail log goes to standard output\. Set maillog_file/,
  );
  const background = await MailLog.open(logWorld({ syslog: deaf, background: true }), conf({ maillog_file: "" }));
  assert.equal(background.syslog, true);
  assert.match(background.notes.join(), /goes nowhere/);
});
