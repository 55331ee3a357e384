import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfError } from "../conf/problem.ts";
import { configure } from "./configuration.ts";

const host = { name: "a.example", interfaces: [] };
const configured = (mainCf: string) => configure({ directory: "/c", mainCf, masterCf: "", host });

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
