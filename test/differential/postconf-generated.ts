/** Texts of main.cf and master.cf for postconf.test.ts, made of pieces that each mean something to a parser. */

/** A number from 0 up to, but not including, `below`. */
export type Draw = (below: number) => number;

const pick = <T>(draw: Draw, list: readonly T[]): T => list[draw(list.length)] as T;

const conditions = [
  ...["${a?{x}:{y}}", "${a:{none}}", "${a?some}", "${d?{$a}:{${b:$mail_name}}}", "$(b?yes)", "${ a ? {x} : {y} }"],
  ...["${{$a} == {one} ? {same} : {other}}", "${{$a}!={one}?{other}:{same}}", "${{2} < {10} ? {number} : {text}}"],
  ...[
    "${{2x} < {10} ? {number} : {text}}",
    "${{3.5} <level {3.6} ? {old} : {new}}",
    "${{$b} >= {$a} ? {y}}",
    "${{$a} == {one}}",
  ],
  ...[
    "${{$compatibility_level} <level {2} ? {$mydomain} : {}}",
    "{ braces stay }",
    "a,b , c",
    "${a?{{nested} braces}}",
  ],
];

const levels = ["0", "1", "2", "3.5", "3.6", "3.10"];

/** Parameters whose defaults depend on compatibility_level. */
export const dependent = [
  ...["append_dot_mydomain", "mynetworks_style", "relay_domains", "smtpd_relay_before_recipient_restrictions"],
  ...["smtpd_relay_restrictions", "smtputf8_enable", "compatibility_level"],
];

/** Conditions of all kinds, over lines, at some compatibility_level. */
export function generateConditions(draw: Draw): string {
  let text = `compatibility_level = ${pick(draw, levels)}\na = ${pick(draw, ["one", "", "2", "$d"])}\nb = ${pick(draw, ["x", "$a"])}\n`;
  for (const name of ["smtpd_banner", "smtp_helo_name", "luser_relay", "relayhost", "myorigin"]) {
    if (draw(3) === 0) continue;
    const values = Array.from({ length: 1 + draw(3) }, () => pick(draw, conditions));
    text += `${name} =${pick(draw, ["", " "])}${values.join(pick(draw, [" ", "\n  ", ",\n# between\n\t", ""]))}\n`;
  }
  return text;
}

const mistakes = [
  ...["no equals sign\n", "= nothing\n", "a b = c\n", "relayhost = ${a\n", "relayhost = ${a?{x}\n", "relayhost = a$\n"],
  ...[
    "relayhost = ${}\n",
    "relayhost = ${{$a} = {b} ? {c}}\n",
    "relayhost = ${{a} <level {b} ? {c}}\n",
    "  relayhost = x\n",
  ],
];

/** One with a mistake in it. */
export function generateMistake(draw: Draw): string {
  const sound = ["# comment\n", "\n", "a = one\n", "myorigin = $a\n  and more\n", "smtpd_banner = x\n"];
  const before = Array.from({ length: draw(3) }, () => pick(draw, sound)).join("");
  return `${before}${pick(draw, mistakes)}${pick(draw, sound)}`;
}

const commands = ["smtpd", "smtp", "pipe", "qmgr", "cleanup", "/usr/lib/postfix/sbin/smtp"];
const args = [
  ...["-v", "-o a=b", "-o smtpd_banner=$a", "-o { smtpd_banner = two  words }", "-o {a=b}", "-oa=b", "-vo a=c", "-vv"],
  ...[
    "\n  -o syslog_name=postfix/$service_name",
    "\n# between\n  -o a=${b?{x}:{y}}",
    "\n\t-o smtp_helo_timeout=5",
    "-o a=",
  ],
];
/** Without braces: docs/compatibility.md says why. */
const words = ["flags=R user=nobody", "argv=/bin/x ${sender}", "--"];

/** Services with their fields, options and arguments; none is defined twice. */
export function generateMaster(draw: Draw): string {
  let text = "";
  const made = new Set<string>();
  for (let services = 1 + draw(5); services > 0; services--) {
    const [type, names] = pick(draw, [
      ["inet", ["smtp", "submission", "127.0.0.1:10025", "[::1]:25", "2525"]],
      ["unix", ["relay", "smtp", "slow", "a-service-with-a-very-long-name", "retry"]],
      ["fifo", ["pickup"]],
    ] as const);
    const name = pick(draw, names);
    if (made.has(`${name}/${type}`)) continue;
    made.add(`${name}/${type}`);
    const flag = () => pick(draw, ["y", "n", "-", "-"]);
    const fields = [
      ...[name, type, type === "inet" ? "n" : flag(), flag(), flag()],
      ...[pick(draw, ["-", "60", "1000?", "0"]), pick(draw, ["-", "0", "1", "20"]), pick(draw, commands)],
    ];
    const options = Array.from({ length: draw(4) }, () => pick(draw, args));
    const rest = draw(4) === 0 ? [pick(draw, words)] : [];
    text += `${[...fields, ...options, ...rest].join(pick(draw, [" ", "  ", "\t"]))}\n`;
    text += pick(draw, ["", "", "\n", "# comment\n", "  # indented\n"]);
  }
  return text;
}

const badFields = [
  ...["smtp inet n - - - - \n", "smtp inet n - - -\n", "smtp tcp n - - - - smtpd\n", "smtp inet y - - - - smtpd\n"],
  ...[
    "relay unix x - - - - smtp\n",
    "relay unix - - - 5x - smtp\n",
    "relay unix - - - - -1 smtp\n",
    "relay unix - - - - - -\n",
  ],
  ...["relay unix - - - - - smtp -o\n", "relay unix - - - - - smtp -o a\n", "relay unix - - - - - smtp -o {a=b\n"],
  ...["relay unix - - - - - smtp -o {a=b}c\n", "relay unix - - - - - smtp {x\n"],
];

export const masterMistakes: readonly string[] = badFields;
