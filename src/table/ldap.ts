import { Answer, type AnswerForm } from "./database/answer.ts";
import { keyDomains } from "./database/key-domains.ts";
import type { TableParameters } from "./database/parameters.ts";
import { type Driver, Refused, type Server, ServerPool, usualPool, words } from "./database/server-pool.ts";
import { databaseType, withinDomains } from "./database/table-of.ts";
import { type Template, Templates } from "./database/templates.ts";
import { LdapConnection, LdapRefusal, type LdapTls, noSuchObject } from "./ldap/connection.ts";
import { encodeFilter, FilterError, quoteForFilter, quoteForName } from "./ldap/filter.ts";
import { type Scope, scopes } from "./ldap/messages.ts";
import { isLdapUrl, type LdapUrl, parseLdapUrl } from "./ldap/url.ts";
import { type Ask, addValues, allNames, type ResultAttributes } from "./ldap/values.ts";
import type { Network } from "./server-client.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * ldap: a directory (ldap_table(5)), over LDAP version 3. The servers are asked in their order. The values of
 * result_attribute and its relatives are the answer, joined by commas; special_result_attribute leads to other entries.
 */
export const ldap = databaseType("ldap", async ({ reference, parameters, context, part }) => {
  const { network, warn } = context;
  if (!network) throw new TableError("config", `${reference}: there is no network here`);
  const settings = await settingsOf(reference, parameters, context);
  const templates = new Templates();
  const base = templates.add(parameters.text("search_base", ""), "query", parameters.name);
  const filter = templates.add(
    parameters.text("query_filter", "(mailacceptinggeneralid=%s)"),
    "query",
    parameters.name,
  );
  if (!filter.varies) warn(`${reference}: Fixed query_filter is probably useless`);
  const format = parameters.optional("result_format") ?? parameters.text("result_filter", "%s", { required: true });
  const form: AnswerForm = {
    reference,
    templates,
    format: templates.add(format, "result", parameters.name),
    limit: parameters.number("expansion_limit", 0),
    warn,
  };
  const domains = await keyDomains(parameters.text("domain", ""), context, part);
  const pool = new ServerPool(new LdapDriver(network, settings), settings.servers, context, {
    ...usualPool,
    inOrder: true,
    connectLimit_ms: 2 * settings.limit_ms,
    answerLimit_ms: 6 * settings.limit_ms,
  });
  const find = (key: string): Promise<string | undefined> =>
    pool.ask((connection) => lookUp(connection, key, { base, filter, form, settings, warn }));
  const asked = (key: string): boolean => [base, filter].every((each) => templates.query(each, key) !== undefined);
  return { find: withinDomains(domains, (key) => (asked(key) ? find(key) : undefined)), close: () => pool.close() };
});

interface Settings {
  readonly reference: string;
  readonly servers: readonly LdapServer[];
  readonly scope: Scope;
  readonly dereference: number;
  readonly limit_ms: number;
  readonly sizeLimit: number;
  readonly recursionLimit: number;
  readonly attributes: ResultAttributes;
  /** Undefined: nothing is said of who we are. */
  readonly login: { readonly name: string; readonly password: string } | undefined;
  readonly tls: LdapTls;
}

interface LdapServer extends Server {
  readonly url: LdapUrl;
}

const unsupported = ["tls_cert", "tls_key", "tls_ca_cert_dir", "tls_cipher_suite"];

async function settingsOf(reference: string, parameters: TableParameters, context: TableContext): Promise<Settings> {
  for (const name of unsupported) {
    if (parameters.optional(name)) context.warn(`${reference}: ${name} is not supported`);
  }
  if (parameters.flag("chase_referrals", false)) context.warn(`${reference}: chase_referrals is not supported`);
  const limits = parameters.number("expansion_limit", 0);
  return {
    reference,
    servers: serversIn(parameters),
    scope: scopeIn(reference, parameters, context.warn),
    dereference: parameters.number("dereference", 0) & 3,
    limit_ms: parameters.number("timeout", 10, 1) * 1000,
    sizeLimit: parameters.number("size_limit", limits),
    recursionLimit: parameters.number("recursion_limit", 1000, 1),
    attributes: {
      terminal: parameters.words("terminal_result_attribute", ""),
      leaf: parameters.words("leaf_result_attribute", ""),
      ordinary: parameters.words("result_attribute", "maildrop"),
      special: parameters.words("special_result_attribute", ""),
    },
    login: loginIn(parameters),
    tls: await tlsIn(parameters, context),
  };
}

function serversIn(parameters: TableParameters): LdapServer[] {
  const port = parameters.number("server_port", 389);
  parameters.text("server_host", "localhost", { required: true });
  return parameters.words("server_host", "localhost").map((word) => {
    const text = isLdapUrl(word) ? word : /:\d+$/.test(word) ? `ldap://${word}` : `ldap://${word}:${port}`;
    const url = parseLdapUrl(text);
    if (!url) throw new TableError("config", `${parameters.name}: server_host = ${word}: it is no LDAP URL`);
    return { name: word, local: url.port === 0, url };
  });
}

function scopeIn(reference: string, parameters: TableParameters, warn: (text: string) => void): Scope {
  const scope = parameters.text("scope", "sub", { required: true });
  const known = scope.toLowerCase();
  if (Object.hasOwn(scopes, known)) return known as Scope;
  warn(`${reference}: Unrecognized value ${scope} specified for scope; using sub`);
  return "sub";
}

function loginIn(parameters: TableParameters): Settings["login"] {
  const bind = parameters.text("bind", "yes", { required: true }).toLowerCase();
  if (bind === "no" || bind === "none") return undefined;
  if (bind !== "yes" && bind !== "simple") {
    throw new TableError("config", `${parameters.name}: unsupported parameter value: bind = ${bind}`);
  }
  return { name: parameters.text("bind_dn", ""), password: parameters.text("bind_pw", "") };
}

/** What OpenLDAP's programs trust on Debian, where no file is named. */
const usualAuthorities = "/etc/ssl/certs/ca-certificates.crt";

async function tlsIn(parameters: TableParameters, context: TableContext): Promise<LdapTls> {
  const startTls = parameters.flag("start_tls", false);
  if (!parameters.flag("tls_require_cert", false)) return { startTls, authorities: undefined };
  const { bytes } = await context.read(parameters.text("tls_ca_cert_file", "") || usualAuthorities);
  const texts = bytes.toString().match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
  return { startTls, authorities: texts ?? [] };
}

class LdapDriver implements Driver<LdapServer, LdapConnection> {
  readonly type = "ldap";
  readonly #network: Network;
  readonly #settings: Settings;

  constructor(network: Network, settings: Settings) {
    this.#network = network;
    this.#settings = settings;
  }

  async connect({ url }: LdapServer, givenUp: AbortSignal): Promise<LdapConnection> {
    const { tls, limit_ms, login } = this.#settings;
    const connection = await LdapConnection.open(this.#network, url, tls, limit_ms, givenUp);
    try {
      if (login) await connection.bind(login.name, login.password);
      return connection;
    } catch (error) {
      connection.close();
      throw new Error(`Unable to bind with dn ${login?.name || "empty or implicit"}: ${words(error)}`);
    }
  }

  usable = ({ lost }: LdapConnection): boolean => !lost;

  drop(connection: LdapConnection): void {
    connection.close();
  }
}

interface Question {
  readonly base: Template;
  readonly filter: Template;
  readonly form: AnswerForm;
  readonly settings: Settings;
  warn(text: string): void;
}

async function lookUp(connection: LdapConnection, key: string, question: Question): Promise<string | undefined> {
  const { base, filter, form, settings, warn } = question;
  const { reference, attributes, recursionLimit, sizeLimit, scope, dereference, limit_ms } = settings;
  const { templates } = form;
  const common = { dereference, sizeLimit, timeLimit_s: limit_ms / 1000 };
  const ask: Ask = (search) => connection.search({ ...search, ...common });
  const answer = new Answer(form, key);
  try {
    const entries = await ask({
      base: templates.query(base, key, quoteForName) ?? "",
      scope,
      filter: encodeFilter(templates.query(filter, key, quoteForFilter) ?? ""),
      attributes: allNames(attributes),
    });
    await addValues(entries, answer, { reference, attributes, recursionLimit, sizeLimit, ask, warn });
  } catch (error) {
    // A base that depends on the key is not there for keys that are not there.
    if (error instanceof LdapRefusal && error.code === noSuchObject && base.varies) return undefined;
    if (error instanceof LdapRefusal) throw new Refused(`Search error: ${error.message}`);
    if (error instanceof FilterError) throw new TableError("retry", `query error: ${error.message}`);
    throw error;
  }
  return answer.text();
}
