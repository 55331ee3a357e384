import { type Case, masterCf } from "./postconf-cases.ts";

/** master.cf shown and edited, for postconf.test.ts. */
const submission = `${masterCf}# a comment
submission inet n - y - - smtpd -v -o smtpd_tls_security_level=encrypt
  # one within
  -o { smtpd_banner = hello  there }
  -o syslog_name=postfix/$service_name
  -osmtpd_sasl_auth_enable=yes -Dvo smtpd_helo_required=yes
# before the next

127.0.0.1:10025 inet n - - - 0 smtpd
a-service-with-a-very-long-name-indeed unix - n n - 7 pipe
  flags=DRX user=nobody argv=/usr/bin/something --with {braces and blanks} and another argument of the command \${recipient}
wake unix n - - 60? 1 pickup
`;

function shown(name: string, ...runs: (readonly string[])[]): Case {
  return { name: `master.cf: ${name}`, main: "mine = 1\nsmtpd_banner = $mine\n", master: submission, runs };
}

function edited(name: string, ...runs: (readonly string[])[]): Case {
  return { name: `editing master.cf: ${name}`, main: "", master: submission, runs };
}

export const masterCases: readonly Case[] = [
  shown("services", ["-M"], ["-Mf"], ["-Mx"], ["-Mfx"]),
  shown(
    "services by pattern",
    ["-M", "smtp"],
    ["-M", "smtp/inet", "relay/unix"],
    ["-M", "*/inet"],
    ["-Mf", "submission/*"],
    ["-M", "nosuch", "smtp/fifo"],
    ["-M", "/inet"],
    ["-M", "a/b/c"],
    ["-M", "s*"],
  ),
  shown("fields", ["-F"], ["-Ff"], ["-Fh"], ["-FH"], ["-Fx"], ["-Fxf"]),
  shown(
    "fields by pattern",
    ["-F", "smtp/inet/command", "*/*/wakeup"],
    ["-F", "submission"],
    ["-F", "smtp/inet/nosuch"],
    ["-F", "nosuch/inet/command"],
    ["-F", "a/b/c/d"],
    ["-Fh", "*/unix/process_limit"],
  ),
  shown("parameters", ["-P"], ["-Pf"], ["-Px"], ["-Ph"], ["-PH"], ["-Pxh"]),
  shown(
    "parameters by pattern",
    ["-P", "submission"],
    ["-P", "*/*/syslog_name"],
    ["-Px", "*/*/syslog_name"],
    ["-P", "submission/inet/smtpd_banner", "nosuch", "smtp/inet", "submission/inet/other"],
    ["-P", "a/b/c/d"],
  ),
  shown("parameters of the command line", ["-Mx", "-o", "mine=2", "relay"], ["-Px", "-o", "service_name=x"]),
  shown("bad overrides", ["-M", "-o", "bogus"]),
  {
    name: "master.cf: a reference to another parameter",
    main: "myhostname = h.example\n",
    master: `${masterCf}in inet n - n - - smtpd -o smtpd_banner=$myhostname -o { x = \${service_name}:$process_name } -o myhostname=other -o spare=1\n`,
    runs: [["-Mx"], ["-Px"], ["-Fx", "in"], ["-Px", "in/inet/x"]],
  },
  {
    name: "master.cf: nothing in it",
    main: "",
    master: "# nothing\n",
    runs: [["-M"], ["-F"], ["-P"], ["-M", "smtp"], ["-M#", "smtp/inet"], ["-Me", "a/unix = a unix - - - - - smtp"]],
  },
  {
    name: "master.cf: options exclude each other",
    main: "",
    runs: [
      ["-M", "-F"],
      ["-M", "-P", "-p"],
      ["-M", "-h"],
      ["-M", "-H"],
      ["-M", "-n"],
      ["-M", "-d"],
      ["-F", "-X", "smtp/inet/command"],
      ["-F", "-#", "smtp/inet/command"],
      ["-P", "-#", "smtp/inet/x"],
      ["-P", "-d"],
      ["-M", "-e"],
      ["-M", "-X"],
      ["-#"],
      ["-X"],
      ["-M", "-X", "-#", "smtp/inet"],
      ["-m", "-l"],
      ["-m", "-n"],
      ["-a", "-f"],
      ["-T", "x", "-T", "y"],
      ["-b", "-t"],
      ["-e", "-o", "a=b", "c=d"],
    ],
  },
  edited(
    "a service replaced",
    ["-Me", "smtp/inet = smtp inet n - n - 5 smtpd -v -o a=b"],
    ["-M", "submission/inet=submission inet n - y - - smtpd"],
  ),
  edited("a service added", ["-M", "new/unix = new unix - - n - - smtp -o { x = two words }"]),
  edited(
    "a service under another name",
    ["-M", "smtp/inet = 2525 inet n - n - 5 smtpd"],
    ["-M", "other/inet = smtp inet n - n - 5 smtpd"],
  ),
  edited("many services by one pattern", ["-M", "*/inet = smtp inet n - n - 5 smtpd"]),
  edited("two services", ["-M", "a/unix = a unix - - - - - smtp", "smtp/inet = smtp inet n - n - 9 smtpd"]),
  edited(
    "a service that cannot be",
    ["-M", "smtp/inet = smtp inet n"],
    ["-M", "x/inet = x tcp n - n - 5 smtpd"],
    ["-M", "smtp/inet = smtp inet n - n - x smtpd"],
  ),
  edited(
    "services taken out",
    ["-MX", "submission/inet"],
    ["-MX", "*/unix"],
    ["-MX", "nosuch/unix"],
    ["-MX", "smtp"],
    ["-MX", "smtp/inet=x"],
  ),
  edited("services made comments", ["-M#", "submission/inet"], ["-M#", "smtp/inet", "wake/unix"], ["-M#", "x/unix"]),
  edited(
    "fields",
    ["-Fe", "smtp/inet/chroot = n"],
    ["-F", "*/inet/process_limit=20", "*/inet/wakeup=3"],
    ["-F", "submission/inet/command = smtpd -o a=b c {d e} -o e=f"],
    ["-F", "submission/inet/chroot = -"],
    ["-F", "smtp/inet/service = other"],
  ),
  edited(
    "fields that cannot be",
    ["-F", "smtp/inet/chroot = maybe"],
    ["-F", "smtp/inet/chroot = n y"],
    ["-F", "smtp/inet/nosuch = n"],
    ["-F", "smtp/inet/* = n"],
    ["-F", "smtp/inet = n"],
    ["-F", "nosuch/inet/chroot = n"],
    ["-Fe", "smtp/inet/chroot"],
  ),
  edited(
    "parameters",
    ["-Pe", "smtp/inet/smtpd_banner=x"],
    ["-P", "submission/inet/smtpd_banner=x", "submission/inet/new=y"],
    ["-P", "*/*/syslog_name=z"],
    ["-P", "maildrop/unix/x=y"],
    ["-PX", "submission/inet/smtpd_banner"],
    ["-PX", "*/*/syslog_name", "submission/inet/nosuch"],
  ),
  edited(
    "parameters that cannot be",
    ["-P", "smtp/inet/x = two words"],
    ["-P", "smtp/inet = x"],
    ["-P", "smtp/inet/* = x"],
    ["-P", "nosuch/inet/a = x"],
    ["-P", "smtp/inet/a=x\ny"],
    ["-P", "#smtp/inet/a=x"],
    ["-PX", "smtp/inet"],
  ),
  {
    name: "editing master.cf: services over several lines with comments and blank lines",
    main: "",
    master:
      "# first\nsmtp inet n - y - - smtpd\n  -o a=b\n# comment\n\n  -o c=d\n   # deep\n  \n# last\nrelay unix - - n - - smtp\n# end\n",
    runs: [
      ["-P", "smtp/inet/a=x"],
      ["-F", "smtp/inet/chroot=n"],
      ["-MX", "smtp/inet"],
      ["-M#", "smtp/inet"],
    ],
  },
  {
    name: "editing master.cf: a name and its type on two lines",
    main: "",
    master: "smtp\n  inet n - y - - smtpd\n",
    runs: [["-M"], ["-M#", "smtp/inet"]],
  },
  {
    name: "editing master.cf: names that look like edits",
    main: "",
    master: "a=b unix - - n - - smtp\nsmtp inet n - y - - smtpd\n",
    runs: [["-M#", "smtp/inet"]],
  },
  ...[
    ["a parameter taken out", ["-X", "relayhost"]],
    ["parameters made comments", ["-#", "relayhost", " b"]],
    ["taken out where it is twice", ["-X", "b"]],
    ["taken out where it is not", ["-X", "nosuch"]],
    ["taken out with a value", ["-X", "a", "b=1"]],
    ["taken out: nothing", ["-X", ""]],
    ["a comment taken out", ["-X", "#a"]],
    ["two lines taken out", ["-X", "a\nb"]],
  ].map(([name, args]) => ({
    name: `editing: ${name}`,
    main: "# c\nrelayhost = x,\n  y\n# within\n  z\n\na = 1\nb = 2\n  # odd\nb = 3\n",
    runs: [args as string[]],
  })),
  {
    name: "what is told of Postfix itself",
    main: "",
    runs: [["-A"], ["-T", "nosuch"], ["-t", "a", "b"], ["-b", "a", "b"], ["-m", "-f"], ["-T", "x", "-n"]],
  },
];
