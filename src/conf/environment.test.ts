import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { environment, importedFrom } from "./environment.ts";
import { ParamError } from "./param.ts";

const { parse } = environment({ default: "", since: "0.1", doc: "" });
const env = { TZ: "Europe/Paris", LANG: "fr_FR", SECRET: "x", EMPTY: "" };

describe("import_environment", () => {
  it("takes over what is named, and nothing else", () => {
    assert.deepEqual(importedFrom(parse("TZ, NOSUCH EMPTY"), env), { TZ: "Europe/Paris", EMPTY: "" });
    assert.deepEqual(importedFrom(parse(""), env), {});
  });

  it("sets what has a value, whatever we have ourselves", () => {
    assert.deepEqual(importedFrom(parse("LANG=C { MAIL = two  words } X="), env), {
      LANG: "C",
      MAIL: "two  words",
      X: "",
    });
  });

  it("the last of a name counts", () => {
    assert.deepEqual(importedFrom(parse("TZ=UTC TZ"), env), { TZ: "Europe/Paris" });
    assert.deepEqual(importedFrom(parse("TZ TZ=UTC"), env), { TZ: "UTC" });
  });

  for (const bad of ["=x", "{ a b }", "{a}", "{a=b"]) {
    it(`${bad} is refused`, () => assert.throws(() => parse(bad), ParamError));
  }
});
