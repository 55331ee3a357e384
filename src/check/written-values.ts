/** Values that Postfix takes as they are written, and their writer hardly meant so. */
import { type Finding, finding, placeOf } from "./finding.ts";
import type { Scene } from "./scene.ts";

/** Parameters whose values are sentences, in which anything may stand. */
const prose = /^(?:smtpd_banner|.*_footer|.*_reject_footer|.*_response_filter)$/;

export async function inspectWrittenValues({ configuration: { settings }, shell }: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of settings.names()) {
    const value = settings.raw(name) ?? "";
    if (prose.test(name)) continue;
    const comment = /^(.*?)\s+#.*$/s.exec(value);
    if (comment) {
      findings.push(
        finding(
          "warning",
          "comment-in-value",
          `the value of ${name} goes on with what looks like a comment: ${value}`,
          {
            ...placeOf(settings, name),
            why: 'A comment has a line of its own; behind a value, "#" and all that follows are part of the value',
            remedy: "Put the comment into a line before",
            commands: shell.set({ [name]: comment[1] ?? "" }),
          },
        ),
      );
    }
    const quotes = /^(["'])([^"']*)\1$/s.exec(value);
    if (quotes) {
      findings.push(
        finding("warning", "quotes-in-value", `the value of ${name} stands in quotation marks: ${value}`, {
          ...placeOf(settings, name),
          why: "main.cf knows no quotation marks; they are part of the value",
          remedy: "Take them out",
          commands: shell.set({ [name]: quotes[2] ?? "" }),
        }),
      );
    }
  }
  return findings;
}
