import { environment } from "./environment.ts";
import { bool, choice, int, list, text, time, words } from "./param.ts";

/** What more than one room reads: names, places, identities. */
export const globalParams = {
  myhostname: text({
    default: "",
    since: "0.1",
    doc: "The name of this host on the internet. Used in greetings, in Received: and as the default of many other parameters. The default is the system's host name, completed with $mydomain where it has no dot.",
  }),
  mydomain: text({
    default: "",
    since: "0.1",
    doc: "The domain of this host. The default is $myhostname without its first label, or localdomain.",
  }),
  myorigin: text({
    default: "$myhostname",
    since: "0.1",
    doc: "The domain that is appended to addresses without one, such as cron's root. A value that begins with / names a file whose first line is used.",
  }),
  mydestination: list({
    default: "$myhostname, localhost.$mydomain, localhost",
    since: "0.1",
    doc: "Domains whose mail belongs to this host: names, /files or type:tables. There is no delivery into mailboxes; a recipient here needs an alias, or a server that has the mailboxes (local_transport, mailbox_transport), or bounces.",
  }),
  mynetworks: list({
    default: "",
    since: "0.1",
    doc: "Addresses and networks of clients that may relay (permit_mynetworks), such as 127.0.0.0/8 [::1]/128 192.0.2.0/24, !excluded ones before what they are excluded from. The default follows mynetworks_style.",
  }),
  mynetworks_style: choice({
    of: ["class", "subnet", "host"],
    default: "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
    since: "0.1",
    doc: "How mynetworks is made when it is not set: only this host, the networks of its interfaces, or their historic classes.",
  }),
  inet_interfaces: list({
    default: "all",
    since: "0.1",
    doc: "Addresses on which mail is taken: all, loopback-only, or a list of names and addresses.",
  }),
  inet_protocols: words({
    of: ["all", "ipv4", "ipv6"],
    default: "all",
    since: "0.1",
    doc: "The internet protocols used for taking and for delivering mail.",
  }),
  proxy_interfaces: list({
    default: "",
    since: "0.1",
    doc: "Addresses under which this host is also reached, by way of a proxy or address translation; used to recognise loops.",
  }),
  config_directory: text({
    default: "/etc/postfix",
    since: "0.1",
    doc: "Where main.cf and master.cf are. Set with -c or MAIL_CONFIG, not in main.cf.",
  }),
  credentials_directory: text({
    default: "",
    since: "0.1",
    doc: "Where the files are that systemd's LoadCredential= hands to the service; the environment's CREDENTIALS_DIRECTORY. For tables: smtp_sasl_password_maps = texthash:$credentials_directory/sasl_passwd.",
  }),
  queue_directory: text({
    default: "/var/spool/postfix",
    since: "0.1",
    doc: "Where the queue is kept, in its directory postern.",
  }),
  data_directory: text({ default: "/var/lib/postfix", since: "0.1", doc: "Where state other than mail is kept." }),
  mail_owner: text({
    default: "postfix",
    since: "0.1",
    doc: "The account that the relay runs as, once it has opened what only root may read.",
  }),
  setgid_group: text({ default: "postdrop", since: "0.1", doc: "The group of the maildrop directory." }),
  mail_name: text({ default: "Postfix", since: "0.1", doc: "The name in Received: and in the greeting." }),
  mail_version: text({
    default: "3.7.11",
    since: "0.1",
    doc: "The version of the mail system whose behaviour is followed, for $mail_version in banners.",
  }),
  syslog_name: text({
    default: "${multi_instance_name?{$multi_instance_name}:{postfix}}",
    since: "0.1",
    doc: "The name before the slash in log lines. Log readers expect postfix.",
  }),
  syslog_facility: text({ default: "mail", since: "0.1", doc: "The syslog facility." }),
  multi_instance_name: text({
    default: "",
    since: "0.1",
    doc: "The name of this instance, where there are several on the host.",
  }),
  import_environment: environment({
    default: "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
    since: "0.1",
    doc: "What the relay's processes get of the environment that the mail system is started with, beside PATH: name for its value there, name=value or { name = value } for a value of its own.",
  }),
  maillog_file: text({
    default: "",
    since: "0.1",
    doc: "Where the mail log is written: a file below maillog_file_prefixes, /dev/stdout, or nothing for syslog.",
  }),
  maillog_file_prefixes: list({ default: "/var, /dev/stdout", since: "0.1", doc: "Where maillog_file may lie." }),
  maillog_file_permissions: text({
    default: "0600",
    since: "0.1",
    doc: "Permissions of a maillog_file that is made (octal).",
  }),
  maillog_file_compressor: text({
    default: "gzip",
    since: "0.1",
    doc: "The program that compresses a rotated maillog_file.",
  }),
  maillog_file_rotate_suffix: text({
    default: "%Y%m%d-%H%M%S",
    since: "0.1",
    doc: "What is appended to the name of a rotated maillog_file (strftime).",
  }),
  compatibility_level: text({
    default: "0",
    since: "0.1",
    doc: "Which generation of defaults is in force; see COMPATIBILITY in the manual.",
  }),
  default_database_type: text({ default: "hash", since: "0.1", doc: "The table type where none is named." }),
  message_size_limit: int({
    default: "10240000",
    min: 0,
    since: "0.1",
    doc: "The largest message taken, in bytes; 0 for no limit.",
  }),
  recipient_delimiter: text({
    default: "",
    since: "0.1",
    doc: "The characters that separate an address extension from the user name.",
  }),
  smtputf8_enable: bool({
    default: "${{$compatibility_level} <level {1} ? {no} : {yes}}",
    since: "0.1",
    doc: "Offer and use SMTPUTF8 (RFC 6531).",
  }),
  soft_bounce: bool({
    default: "no",
    since: "0.1",
    doc: "Keep mail that would bounce: 5xx becomes 4xx, here and from others. For trying out a configuration.",
  }),
  delay_logging_resolution_limit: int({
    default: "2",
    min: 0,
    max: 6,
    since: "0.1",
    doc: "Digits after the decimal point in delays=.",
  }),
  header_size_limit: int({
    default: "102400",
    min: 1,
    since: "0.1",
    doc: "The longest header, in bytes; what is beyond is discarded from address processing.",
  }),
  line_length_limit: int({
    default: "2048",
    min: 1,
    since: "0.1",
    doc: "The longest line of a command or of local input, in bytes; longer ones are taken in pieces.",
  }),
  daemon_timeout: time({
    default: "18000s",
    min: 1,
    since: "0.1",
    doc: "How long a request may take before something is taken to be wrong.",
  }),
  relayhost: list({
    default: "",
    since: "0.1",
    doc: "The next hop of mail that leaves, where no table says otherwise: [host] or [host]:port to go there directly, domain to use its MX records; several are tried in order.",
  }),
  relay_domains: list({
    default: "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
    since: "0.1",
    doc: "Domains (and, depending on parent_domain_matches_subdomains, their subdomains) for which mail is relayed whoever sends it.",
  }),
} as const;
