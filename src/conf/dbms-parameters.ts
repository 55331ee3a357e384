/**
 * Tables such as `ldap:people` whose name is no path take their own parameters
 * from main.cf, as people_server_host and so on: the form from before they had
 * files of their own. These are the endings that each type knows.
 */
const sql = [
  "domain",
  "table",
  "select_field",
  "where_field",
  "additional_conditions",
  "dbname",
  "expansion_limit",
  "query",
  "result_format",
];
const server = ["charset", "encoding", "hosts", "idle_interval", "password", "retry_interval", "user"];

const endings: Readonly<Record<string, readonly string[]>> = {
  ldap: [
    ...[
      "bind",
      "bind_dn",
      "bind_pw",
      "cache",
      "cache_expiry",
      "cache_size",
      "chase_referrals",
      "debuglevel",
      "dereference",
      "domain",
    ],
    ...[
      "expansion_limit",
      "leaf_result_attribute",
      "query_filter",
      "recursion_limit",
      "result_attribute",
      "result_filter",
      "result_format",
    ],
    ...[
      "sasl_authz_id",
      "sasl_mechs",
      "sasl_minssf",
      "sasl_realm",
      "scope",
      "search_base",
      "server_host",
      "server_port",
      "size_limit",
    ],
    ...[
      "special_result_attribute",
      "start_tls",
      "terminal_result_attribute",
      "timeout",
      "tls_ca_cert_dir",
      "tls_ca_cert_file",
    ],
    ...["tls_cert", "tls_cipher_suite", "tls_key", "tls_random_file", "tls_require_cert", "version"],
  ],
  mysql: [
    ...[...sql, ...server, "option_file", "option_group", "require_result_set", "tls_CAfile", "tls_CApath"],
    ...["tls_cert_file", "tls_ciphers", "tls_key_file", "tls_verify_cert"],
  ],
  pgsql: [...sql, ...server, "select_function"],
  sqlite: [...sql, "dbpath"],
  memcache: [
    ...[
      "backup",
      "data_size_limit",
      "domain",
      "flags",
      "key_format",
      "line_size_limit",
      "max_try",
      "memcache",
      "retry_pause",
    ],
    ...["timeout", "ttl"],
  ],
};

/** The names that a parameter's expanded value makes known by naming such tables. */
export function tableParameterNames(value: string): string[] {
  const names: string[] = [];
  for (const word of value.split(/[\s,{}]+/)) {
    const [, type = "", name = ""] = /^(?:(?:proxy|debug):)*(\w+):([^/.:][^:]*)$/.exec(word) ?? [];
    if (!Object.hasOwn(endings, type)) continue;
    for (const ending of endings[type] ?? []) names.push(`${name}_${ending}`);
  }
  return names;
}
