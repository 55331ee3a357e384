import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSendmail, SendmailUsage } from "./sendmail-options.ts";

const parse = (...args: string[]) => parseSendmail("sendmail", args);

function refused(args: readonly string[], text: RegExp): void {
  assert.throws(
    () => parse(...args),
    (error) => error instanceof SendmailUsage && text.test(error.message),
    args.join(" "),
  );
}

test("what cron and mail programs use is understood", () => {
  const found = parse("-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f<root>", "--", "-other", "someone");
  assert.equal(found.mode, "deliver");
  assert.equal(found.fullName, "CronDaemon");
  assert.equal(found.dotEnds, false);
  assert.equal(found.extract, true);
  assert.equal(found.sender, "<root>");
  assert.deepEqual(found.recipients, ["-other", "someone"]);
  assert.deepEqual(found.warnings, []);
});

test("what stands behind a recipient is one, too", () => {
  const found = parse("-i", "a@example.com", "-f", "b@example.com");
  assert.deepEqual(
    [found.sender, found.dotEnds, found.recipients],
    [undefined, false, ["a@example.com", "-f", "b@example.com"]],
  );
});

test("each mode has its option, and its name", () => {
  const modes = {
    "-bp": "mailq",
    "-bs": "smtp",
    "-bi": "newaliases",
    "-I": "newaliases",
    "-bd": "daemon",
    "-bm": "deliver",
    "-q": "flush",
    "-bH": "nothing",
    "-q30m": "nothing",
  };
  for (const [option, mode] of Object.entries(modes)) assert.equal(parse(option).mode, mode, option);
  assert.equal(parseSendmail("mailq", []).mode, "mailq");
  assert.equal(parseSendmail("newaliases", []).mode, "newaliases");
  assert.equal(parseSendmail("mailq", ["-bm", "root"]).mode, "deliver");
});

test("-qI and -qR name what is to be tried, and nothing else beside it", () => {
  assert.deepEqual([parse("-qIABC").mode, parse("-qIABC").argument], ["flush-id", "ABC"]);
  assert.deepEqual([parse("-qRexample.com").mode, parse("-qRexample.com").argument], ["flush-site", "example.com"]);
  refused(["-qR"], /^specify: -qRsitename$/);
  refused(["-qI"], /^specify: -qIqueueid$/);
  refused(["-qIABC", "root"], /^flush queue_id requires no recipient$/);
  refused(["-qX"], /^-qX is not implemented$/);
  refused(["-bp", "-qIABC"], /^-qI can be used only in delivery mode$/);
});

test("a daemon's times for looking into the queue do not keep it from being one", () => {
  assert.equal(parse("-bd", "-q1h").mode, "daemon");
  const found = parse("-bd", "-q");
  assert.deepEqual([found.mode, found.warnings], ["daemon", ["ignoring -q option in daemon mode"]]);
});

test("-bv, VERP and what else there is not are refused by name", () => {
  refused(["-bv", "root"], /^-bv: a report without delivery is not supported; 'sendmail -v'/);
  refused(["-XV", "root"], /^-XV: .*\(VERP\) is not supported$/);
  refused(["-V", "+=", "root"], /VERP/);
  refused(["-bx"], /^unsupported: -bx$/);
  refused(["-Xlog"], /^unsupported: -Xl$/);
  refused(["-n"], /^-n option not supported$/);
  refused(["-B", "9BIT"], /^-B option needs/);
  refused(["-t", "-bs"], /^-t can be used only in delivery mode$/);
  refused(["-oA"], /^-oA requires pathname$/);
  for (const mode of ["-bp", "-bs", "-bi", "-bd", "-q"]) refused([mode, "x"], /requires no recipient$/);
});

test("an unknown option shows what is wrong, and the usage", () => {
  assert.throws(() => parse("-Z"), { message: "usage: sendmail [options]", detail: "invalid option -- 'Z'" });
});

test("a bad -N, -R or -V only warns", () => {
  assert.deepEqual(parse("-N", "success,delay").notify, ["SUCCESS", "DELAY"]);
  assert.deepEqual(parse("-N", "never").notify, ["NEVER"]);
  const bad = parse("-N", "never,success", "-N", "foo", "-R", "body", "-V", "x".repeat(101), "-V", "é\nx");
  assert.deepEqual([bad.notify, bad.ret, bad.envid], [undefined, undefined, undefined]);
  assert.deepEqual(bad.warnings, [
    "bad -N option value -- ignored",
    'unknown DSN NOTIFY command value "foo" in "foo"',
    "bad -N option value -- ignored",
    "bad -R option value -- ignored",
    "too long -V option value -- ignored",
    "bad syntax in -V option value -- ignored",
  ]);
  assert.deepEqual([parse("-R", "hdrs").ret, parse("-V", "id 7").envid], ["HDRS", "id 7"]);
});
