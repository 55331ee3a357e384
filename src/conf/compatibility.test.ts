import assert from "node:assert/strict";
import { test } from "node:test";
import { compatibilityNotices } from "./compatibility.ts";
import { globalParams } from "./params.ts";
import { Settings } from "./settings.ts";

function told(written: Readonly<Record<string, string>>): string[] {
  const settings = new Settings({
    written: new Map(Object.entries(written).map(([name, value]) => [name, { value, file: "main.cf", line: 1 }])),
    declared: globalParams,
    host: { name: "h.example", interfaces: [] },
    directory: "/etc/postfix",
  });
  return compatibilityNotices(settings, globalParams).map(({ text }) => text);
}

const kept = (written: Readonly<Record<string, string>>): string[] =>
  told(written)
    .filter((text) => text.startsWith("using "))
    .map((text) => text.replace("using backwards-compatible default setting ", ""));

test("each default that an old level keeps is named, unless it is written", () => {
  assert.deepEqual(kept({ mydestination: "d.example" }).sort(), [
    "mynetworks_style=subnet",
    "relay_domains=d.example",
    "smtputf8_enable=no",
  ]);
  assert.deepEqual(kept({ compatibility_level: "1", relay_domains: "" }), ["mynetworks_style=subnet"]);
  assert.deepEqual(kept({ compatibility_level: "2" }), []);
});

test("the latest level, later ones and those that cannot be read are passed over", () => {
  assert.equal(told({ compatibility_level: "2" }).length, 3);
  for (const compatibility_level of ["3.6", "3.10", "9999", "two"]) assert.deepEqual(told({ compatibility_level }), []);
});
