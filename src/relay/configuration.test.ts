import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfError } from "../conf/problem.ts";
import { configure } from "./configuration.ts";

const host = { name: "a.example", interfaces: [] };
const configured = (mainCf: string, masterCf = "") => configure({ directory: "/c", mainCf, masterCf, host });
const textsOf = (problems: readonly { readonly text: string }[]) => problems.map(({ text }) => text);

test("a transport's limit that does not parse stops the start, whether or not master.cf has that transport", () => {
  for (const name of ["smtp_destination_concurrency_limit", "slow_transport_rate_delay"]) {
    assert.throws(
      () => configured(`myhostname = a.example\n${name} = x\n`),
      (error) => error instanceof ConfError && error.message.startsWith(`/c/main.cf, line 2: parameter ${name}: `),
    );
  }
});

test("a transport's limits may refer to other parameters", () => {
  const { settings } = configured("pace = 5s\nslow_transport_rate_delay = $pace\n");
  assert.equal(settings.value("slow_transport_rate_delay"), "5s");
});

test("services that run pipe are named together, once, and mail for them waits", () => {
  const { notices, warnings, untried } = configured(
    "mydestination =\ncompatibility_level = 3.6\n",
    "maildrop unix - n n - - pipe\n  flags=DRXhu argv=/usr/bin/maildrop\nuucp unix - n n - - pipe argv=uux\nsmtp inet n - y - - smtpd\n",
  );
  assert.deepEqual(textsOf(notices), [
    "pipe is not supported: mail that is routed to one of these services waits: maildrop, uucp",
  ]);
  assert.deepEqual(warnings, []);
  assert.deepEqual(untried.get("uucp"), {
    kind: "unavailable",
    why: "service uucp runs pipe, which is not supported here",
  });
});

test("a service is what its program is, whatever its name; error goes by its name", () => {
  const { untried, transports } = configured(
    "mydestination =\n",
    "hole unix - - n - - discard\nslow unix - - n - - smtp\ndiscard unix - - n - - smtp\nodd unix - - n - - error\n",
  );
  assert.deepEqual(untried.get("hole"), { kind: "discard" });
  assert.equal(untried.get("odd")?.kind, "unavailable");
  assert.equal(untried.get("retry")?.kind, "retry");
  assert.equal(untried.has("discard"), false);
  assert.deepEqual(
    transports.map(({ name }) => name),
    ["slow", "discard", "smtp", "relay", "lmtp"],
  );
});

test("a parameter that leads to no transport is named", () => {
  const { warnings } = configured(
    "mydestination =\ndefault_transport = uucp:x\nvirtual_transport = virtual\nvirtual_mailbox_domains = v.example\nlocal_transport = error:none\n",
    "smtp inet n - y - - smtpd\n",
  );
  assert.deepEqual(textsOf(warnings), [
    "parameter default_transport: master.cf has no service uucp: such mail waits",
    "parameter virtual_transport: service virtual runs virtual, which is not supported here: such mail waits",
  ]);
});

test("cleanup services and pickup have their own -o; a cleanup service that is not there stops the start", () => {
  const services =
    "pickup unix n - n 60 1 pickup -o content_filter= -o cleanup_service_name=own\nown unix n - n - 0 cleanup -o header_checks=static:WARN\n";
  const { conf, cleanups, pickup } = configured("content_filter = smtp:[127.0.0.1]:10024\n", services);
  assert.equal(conf.content_filter, "smtp:[127.0.0.1]:10024");
  assert.equal(pickup.conf.content_filter, "");
  assert.deepEqual(cleanups.get(pickup.conf.cleanup_service_name)?.conf.header_checks, ["static:WARN"]);
  assert.deepEqual([...cleanups.keys()], ["own"]);
  assert.throws(
    () => configured("", "10025 inet n - n - - smtpd -o cleanup_service_name=gone\n"),
    /line 1: cleanup_service_name = gone: master.cf has no such service that runs cleanup/,
  );
});
