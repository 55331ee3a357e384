import assert from "node:assert/strict";
import { test } from "node:test";
import { protocols, readOddAnswers } from "./odd-answers.ts";
import { readOddRules, ruleTypes } from "./odd-rules.ts";

for (const protocol of protocols) {
  test(`${protocol.name}: whatever a server sends is an answer, a part of one, or none`, () => {
    const { answers, refused, unfinished } = readOddAnswers(protocol, { seed: 1, count: 5000 });
    for (const each of [answers, refused, unfinished]) assert.ok(each > 100, `${answers} ${refused} ${unfinished}`);
  });
}

for (const type of ruleTypes) {
  test(`${type.name}: whatever stands in a source, and whatever the key, reading and asking end as they should`, async () => {
    const outcome = await readOddRules(type, { seed: 1, count: 1000 }, () => 0);
    const { opened, found, absent } = outcome;
    for (const each of [opened, found, absent]) assert.ok(each > 20, JSON.stringify(outcome));
  });
}
