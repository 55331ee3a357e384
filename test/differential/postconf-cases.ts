/** Files and command lines for postconf.test.ts. A character of the texts is a byte. */
export interface Case {
  readonly name: string;
  readonly main: string;
  /** Without it, masterCf below. */
  readonly master?: string;
  /** Without them, `-n` and `-nx`. */
  readonly runs?: readonly (readonly string[])[];
}

export const masterCf = `smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
local     unix  -       n       n       -       -       local
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d \${recipient}
`;

/** One expression, in a parameter that is shown. */
function expression(text: string, definitions = ""): Case {
  return {
    name: `expression ${text}`,
    main: `${definitions}luser = 1\nsmtpd_banner = ${text}\n`,
    runs: [["-nx", "smtpd_banner"]],
  };
}

const two = "a = one\nb = two\nempty =\nnumber = 10\n";

const expressions = [
  expression("$a $b $empty.", two),
  expression("${a} $(a) ${ a } $(a)b", two),
  expression("$a_x $a-x $a.x", two),
  expression("${a?yes} ${a:no} ${empty?yes} ${empty:no} ${nope?yes} ${nope:no}", two),
  expression("${a?{yes}} ${a:{no}} ${empty?{yes}} ${empty:{no}}", two),
  expression("${a?{yes}:{no}} ${empty?{yes}:{no}} ${a ? {yes} : {no} }", two),
  expression("${a??foo:{b}ar} ${empty:?x}", two),
  expression("${a?$b} ${a?{$b}} ${empty:$a$b}", two),
  expression("${{$a} == {one}} ${{$a} != {one}}.", two),
  expression("${{$a} == {one} ? {same} : {different}}", two),
  expression("${{$a} == {two} ? {same} : {different}}", two),
  expression("${{$a}=={one}?same}", two),
  expression("${{$number} > {9}?number}${{x10} > {x9}?text}", two),
  expression("${{9} < {10}?lt}${{9} <= {9}?le}${{9} >= {10}?ge}${{9} != {09}?ne}", two),
  expression("${{$a} == {one}:no} ${{$a} == {two}:no}", two),
  expression("${{3.6} <level {3.10}?older}${{3.6} <level {3.6.1}?older}${{3} >=level {3.0}?same}"),
  expression("${{} == {}?empty}${{ } == {}?blank}"),
  expression("${{a{b}c} == {a{b}c}?nested}"),
  expression("$$a $$$a $$", two),
  expression("$(a?yes)", two),
  expression("${a?x${b?y${empty:z}}}", two),
  expression(
    "$smtp_tls_key_file$mydomain ${mail_name} $myorigin",
    "mydomain = example.org\nmyhostname = h.$mydomain\nsmtp_tls_cert_file = /c\n",
  ),
  expression("$relay_destination_concurrency_limit $smtpd_timeout"),
  expression("a$"),
  expression("${}"),
  expression("$()"),
  expression("$."),
  expression("${x"),
  expression("${a?{b}", two),
  expression("${a b}", two),
  expression("${a?{b} c}", two),
  expression("${a?{b}:{c} d}", two),
  expression("${a-b}", two),
  expression("${{a} = {b}}"),
  expression("${{a} === {b}}"),
  expression("${{a} == b}"),
  expression("${{a} == {b} x}"),
  expression("${{a} {b}}"),
  expression("${{a}}"),
  expression("${{1} <level {x}}"),
  expression("${{1} <level {1.2000}}"),
  expression("${{1} <foo {x}}"),
  expression("$loop", "loop = $loop\n"),
  expression("$one", "one = $two\ntwo = $one\n"),
];

const edits: readonly Case[] = [
  ["a new parameter", "relayhost = x\n", ["-e", "myhostname = h.example"]],
  ["an existing one, without -e", "# c\nrelayhost = x\nmyhostname=h\n", ["relayhost=[new]:587"]],
  [
    "one with continuation lines and comments",
    "a = 1\nmydestination = x,\n  y,\n# comment\n  z\n\n  w\nb = 2\n",
    ["-e", "mydestination = $myhostname"],
  ],
  ["one defined twice", "a = 1\nrelayhost = x\nb = 2\nrelayhost = y\nrelayhost = z\n", ["-e", "relayhost=new"]],
  ["an old and a new one", "b = 1\n", ["-e", "c = 2", "b=3"]],
  ["the same twice", "b = 1\n", ["-e", "a=1", "a=2"]],
  ["the same twice, equal", "b = 1\n", ["-e", "a=1", "a=1"]],
  ["an empty file", "", ["-e", "a=1"]],
  ["a file without a newline at its end, last line", "a = 1\nb = 2", ["-e", "b=3"]],
  ["bytes that are not UTF-8", "a = \xff\xfe\n# \xe9\nb = \xc3\xa9\n", ["-e", "c=\u00e9"]],
  ["white space around", "a=1\n", ["-e", "  a   =    x  y   "]],
  ["an empty value", "a = 1\n", ["-e", "a="]],
  ["a value with = and #", "a = 1\n", ["-e", "a = b=c #d"]],
  ["no =", "a = 1\n", ["-e", "a"]],
  ["no name", "a = 1\n", ["-e", "=x"]],
  ["a comment", "a = 1\n", ["-e", "#a=1"]],
  ["two lines", "a = 1\n", ["-e", "a=1\nb=2"]],
  ["nothing", "a = 1\n", ["-e"]],
  ["a file that starts with white space", "  odd\na = 1\n", ["-e", "a=2"]],
  ["carriage returns", "a = 1\r\nb = 2\r\n", ["-e", "a=2"]],
].map(([name, main, args]) => ({ name: `editing: ${name}`, main: main as string, runs: [args as string[]] }));

export const cases: readonly Case[] = [
  ...expressions,
  ...edits,
  {
    name: "an empty file",
    main: "",
    runs: [["-n"], ["relayhost"], ["-h", "mail_name", "relayhost"], ["-x", "mydestination"]],
  },
  { name: "comments and blank lines", main: "# one\n\n   # two\nrelayhost = x\n#\n \t \n" },
  { name: "continuation lines", main: "mydestination = a,\n b\n\tc\n# comment\n   # another\n\n d\nrelayhost = x\n" },
  { name: "a first line with white space", main: "  relayhost = x\nmyhostname = h.example\n" },
  { name: "no newline at the end", main: "relayhost = x\nmyhostname = h.example" },
  { name: "white space everywhere", main: "relayhost\t=\t  x  \nsmtpd_banner=a   b\t\tc\n" },
  { name: "carriage returns", main: "relayhost = x\r\nmyhostname = h.example\r\n" },
  { name: "bytes that are not UTF-8", main: "smtpd_banner = \xff\xa0 \xc3\xa9\xa0\n" },
  { name: "later definitions", main: "relayhost = x\nrelayhost = y\nrelayhost = y\nmail_name = A\nmail_name = A\n" },
  { name: "a line without =", main: "relayhost = x\nnonsense\n" },
  { name: "a line with = only", main: "relayhost = x\n= y\n" },
  { name: "a name with spaces", main: "relay host = y\n" },
  {
    name: "names that nobody knows",
    main: "relayhots = x\nfoo = bar\n",
    runs: [["-n"], ["foo"], ["nosuch", "relayhost"]],
  },
  {
    name: "names that something refers to",
    main: "net = 192.0.2.0/24\nmynetworks = $net\nother = $net\nunused = 1\n",
    runs: [["-n"], ["-nx"], ["net", "other"], ["-h", "net"]],
  },
  { name: "names referred to in branches not taken", main: "mynetworks = ${x?$one}${y:{$two}}\none = 1\ntwo = 2\n" },
  {
    name: "restriction classes",
    main: "smtpd_restriction_classes = strict, $more\nmore = lax\nstrict = reject\nlax = permit\n",
  },
  {
    name: "names that master.cf refers to",
    main: "mua = permit\nunused = 2\n",
    master: `${masterCf}submission inet n - y - - smtpd\n -o smtpd_client_restrictions=$mua\n -o own=1\n -o smtpd_banner=$own\n -o spare=2\n`,
  },
  {
    name: "braces in master.cf",
    main: "a = 1\n",
    master: `${masterCf}submission inet n - y - - smtpd -o { smtpd_banner = hello $a } -ob=$a -v\n`,
  },
  {
    name: "a service's own parameters",
    main: "maildrop_time_limit = 5s\nrelay_destination_rate_delay = 1s\nuucp_time_limit = 2s\n",
    runs: [
      ["-n"],
      ["relay_destination_rate_delay", "local_destination_recipient_limit", "maildrop_destination_recipient_limit"],
      ["-C", "service", "-d"],
      ["-n", "-C", "service"],
    ],
  },
  {
    name: "classes",
    main: "relayhost = $mine\nmine = x\nmaildrop_time_limit = 5s\n",
    runs: [
      ["-n", "-C", "user"],
      ["-n", "-C", "builtin"],
      ["-n", "-C", "all"],
      ["-C", "bogus"],
    ],
  },
  {
    name: "names of former days",
    main: "virtual_maps = hash:/x\nfallback_relay = y\n",
    runs: [["-n"], ["-nx"], ["-x", "virtual_alias_maps"]],
  },
  { name: "read-only names", main: "process_id = 1\nservice_name = x\n", runs: [["-n"], ["service_name"]] },
  { name: "config_directory in main.cf", main: "config_directory = /nowhere\n", runs: [["-n"], ["config_directory"]] },
  {
    name: "values that are not expanded",
    main: "luser_relay = $a\nsmtpd_reject_footer = ${x\nforward_path = $home\na = 1\n",
  },
  {
    name: "tables with parameters in main.cf",
    main: "alias_maps = ldap:people, proxy:mysql:users\npeople_server_host = h\npeople_bogus = 1\nusers_query = q\nothers_query = q\n",
  },
  {
    name: "host names",
    main: "myhostname = h.example.org\n",
    runs: [
      ["-x", "myorigin", "mydestination", "mydomain"],
      ["mydomain", "myhostname"],
    ],
  },
  { name: "a domain only", main: "mydomain = example.org\n", runs: [["-x", "myhostname", "mydestination"]] },
  {
    name: "a host name made of the domain",
    main: "mydomain = example.org\nmyhostname = mx.$mydomain\n",
    runs: [["-x", "myhostname", "mydomain", "mydestination"]],
  },
  {
    name: "a host name without a dot",
    main: "myhostname = alone\n",
    runs: [
      ["mydomain", "myhostname"],
      ["-x", "mydestination"],
    ],
  },
  {
    name: "networks by style",
    main: "compatibility_level = 3.6\n",
    runs: [
      ["mynetworks"],
      ["-o", "mynetworks_style=subnet", "mynetworks"],
      ["-o", "mynetworks_style=class", "mynetworks"],
      ["-d", "mynetworks"],
    ],
  },
  {
    name: "networks by interface",
    main: "mynetworks_style = subnet\n",
    runs: [
      ["-o", "inet_interfaces=loopback-only", "mynetworks"],
      ["-o", "inet_interfaces=127.0.0.1", "mynetworks"],
      ["-o", "inet_protocols=ipv4", "mynetworks"],
      ["-o", "inet_protocols=ipv6", "mynetworks"],
    ],
  },
  {
    name: "defaults by compatibility level",
    main: "compatibility_level = 3.6\n",
    runs: [
      ["-x", "smtputf8_enable", "relay_domains", "append_dot_mydomain"],
      ["-dx", "smtputf8_enable", "append_dot_mydomain"],
    ],
  },
  {
    name: "overrides",
    main: "relayhost = x\nmine = 1\n",
    runs: [
      ["-o", "relayhost=y", "relayhost"],
      ["-n", "-o", "myhostname = h.example"],
      ["-o", "bogus", "relayhost"],
      ["-x", "-o", "a=1", "-o", "smtpd_banner=$a", "smtpd_banner"],
    ],
  },
  {
    name: "names without values, values without names",
    main: "relayhost = x\nmyhostname = h.example\n",
    runs: [
      ["-H", "-n"],
      ["-h", "-n"],
      ["-h", "relayhost"],
      ["-hH", "relayhost"],
    ],
  },
  {
    name: "folding",
    main: `mydestination = ${Array.from({ length: 30 }, (_, at) => `host${at}.example.org`).join(", ")}\n`,
    runs: [["-nf"], ["-fh", "mydestination"], ["-fx", "proxy_read_maps"]],
  },
  { name: "all that is in force", main: "relayhost = x\nmyhostname = h.example.org\n", runs: [[], ["-x"], ["-H"]] },
  {
    name: "defaults",
    main: "relayhost = x\n",
    runs: [
      ["-d", "relayhost", "mydestination", "foo"],
      ["-dh", "smtp_tls_policy_maps"],
      ["-dx", "smtp_helo_name", "myhostname"],
    ],
  },
  {
    name: "options that exclude each other",
    main: "",
    runs: [
      ["-d", "-n"],
      ["-e", "-n", "a=b"],
      ["-e", "-x", "a=b"],
      ["-d", "-o", "a=b"],
      ["-d", "a=b"],
      ["-f", "a=b"],
    ],
  },
  { name: "a bad master.cf: too few fields", main: "", master: "smtp inet n\n" },
  { name: "a bad master.cf: type", main: "", master: "smtp tcp n - y - - smtpd\n" },
  { name: "a bad master.cf: private", main: "", master: "smtp inet maybe - y - - smtpd\n" },
  { name: "a bad master.cf: wakeup", main: "", master: "smtp inet n - y soon - smtpd\n" },
  { name: "a bad master.cf: maxproc", main: "", master: "smtp inet n - y - few smtpd\n" },
  {
    name: "Debian's own template",
    main: "smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\nbiff = no\nappend_dot_mydomain = no\nreadme_directory = no\ncompatibility_level = 3.6\nsmtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\nsmtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key\nsmtpd_tls_security_level=may\nsmtp_tls_CApath=/etc/ssl/certs\nsmtp_tls_security_level=may\nsmtp_tls_session_cache_database = btree:${data_directory}/smtp_scache\nsmtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination\nmyhostname = mail.example.org\nalias_maps = hash:/etc/aliases\nalias_database = hash:/etc/aliases\nmyorigin = /etc/mailname\nmydestination = $myhostname, mail.example.org, localhost.example.org, , localhost\nrelayhost =\nmynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\nmailbox_size_limit = 0\nrecipient_delimiter = +\ninet_interfaces = all\ninet_protocols = all\n",
  },
];
