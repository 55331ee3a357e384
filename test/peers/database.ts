import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "../lab/at-exit.ts";
import { until } from "../lab/until.ts";
import { freePort, listening, makePlace } from "./place.ts";

/**
 * Database servers for tests: Debian's own programs as private instances, with their files in a directory of
 * their own, run by the account that Debian made for them (root only starts them), listening on 127.0.0.1 and a Unix socket.
 */
export interface RunningDatabase {
  readonly directory: string;
  readonly port: number;
  /** What the server has said so far. */
  log(): string;
  /** Ends the server, as when its host is restarted. */
  stop(): Promise<void>;
  /** Starts it again on the same files and port. */
  start(): Promise<void>;
  /** Ends it and removes the directory. */
  remove(): Promise<void>;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

function accountOf(user: string): Account {
  const number = (flag: string): number => Number(execFileSync("id", [flag, user]).toString());
  return { uid: number("-u"), gid: number("-g") };
}

interface Recipe {
  readonly name: string;
  readonly user: string;
  /** Makes the files; returns the server's command line. */
  prepare(directory: string, port: number, account: Account): readonly [program: string, ...args: string[]];
  /** Does it answer questions? Absent: as soon as it takes connections. */
  isReady?(directory: string, port: number): boolean;
}

async function startDatabase({ name, user, prepare, isReady = () => true }: Recipe): Promise<RunningDatabase> {
  const { directory, remove: removeDirectory } = makePlace(name);
  const account = accountOf(user);
  chownSync(directory, account.uid, account.gid);
  const port = await freePort();
  const [program, ...args] = prepare(directory, port, account);
  let written = "";
  let end = async (): Promise<void> => {};
  const start = async (): Promise<void> => {
    const child = spawn(program, args, { ...account, cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => (written += bytes.toString()));
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const keep = atExit(() => child.kill("SIGKILL"));
    end = async () => {
      keep();
      child.kill(name === "postgresql" ? "SIGINT" : "SIGTERM");
      await exited;
    };
    await listening({ port }, () => written);
    await until(`${name} answers`, () => isReady(directory, port), { about: () => written });
  };
  const remove = async (): Promise<void> => {
    await end();
    removeDirectory();
  };
  try {
    await start();
  } catch (error) {
    await remove();
    throw error;
  }
  return { directory, port, log: () => written, stop: () => end(), start, remove };
}

/** The programs that a server needs, for `needs()`. */
export const databasePrograms: Readonly<Record<string, readonly string[]>> = {
  postgresql: [postgresProgram("postgres"), postgresProgram("initdb")],
  mariadb: ["/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"],
  slapd: ["/usr/sbin/slapd", "/usr/sbin/slapadd"],
  memcached: ["/usr/bin/memcached"],
};

function postgresProgram(program: string): string {
  const base = "/usr/lib/postgresql";
  const [version = "missing"] = existsSync(base) ? readdirSync(base).sort().reverse() : [];
  return `${base}/${version}/bin/${program}`;
}

/** A PostgreSQL without passwords on its Unix socket (in its directory), with them over TCP. `sql` is run in database "mail". */
export async function startPostgres(
  sql: string,
): Promise<RunningDatabase & { sql(database: string, text: string): void }> {
  const running = await startDatabase({
    name: "postgresql",
    user: "postgres",
    isReady: (directory, port) => spawnSync("pg_isready", ["-q", "-h", directory, "-p", String(port)]).status === 0,
    prepare(directory, port, account) {
      const data = join(directory, "data");
      const options = ["--no-sync", "-E", "UTF8", "--locale=C", "-U", "postgres"];
      const access = ["--auth-local=trust", "--auth-host=scram-sha-256"];
      const environment = { ...account, cwd: directory };
      execFileSync(postgresProgram("initdb"), ["-D", data, ...options, ...access], environment);
      const settings = [
        `port=${port}`,
        "listen_addresses=127.0.0.1",
        `unix_socket_directories=${directory}`,
        "fsync=off",
      ];
      return [postgresProgram("postgres"), "-D", data, ...settings.flatMap((each) => ["-c", each])];
    },
  });
  const { uid, gid } = statSync(join(running.directory, "data"));
  const psql = (database: string, text: string) =>
    execFileSync(
      "psql",
      [
        "-qX",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        running.directory,
        "-p",
        String(running.port),
        "-U",
        "postgres",
        "-d",
        database,
      ],
      { input: text, uid, gid, cwd: running.directory },
    );
  try {
    psql("postgres", "CREATE DATABASE mail;");
    psql("mail", sql);
  } catch (error) {
    await running.remove();
    throw error;
  }
  return { ...running, sql: (database, text) => void psql(database, text) };
}

/** A MariaDB whose root has no password; its socket is `socket` in its directory. `sql` is run in database "mail". */
export async function startMariadb(sql: string): Promise<RunningDatabase> {
  const running = await startDatabase({
    name: "mariadb",
    user: "mysql",
    prepare(directory, port, account) {
      const data = join(directory, "data");
      const how = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", `--datadir=${data}`];
      execFileSync("mariadb-install-db", how, { ...account, cwd: directory, stdio: "pipe" });
      const network = [`--port=${port}`, "--bind-address=127.0.0.1", `--socket=${join(directory, "socket")}`];
      const small = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M", "--skip-log-bin"];
      return ["/usr/sbin/mariadbd", "--no-defaults", `--datadir=${data}`, ...network, ...small];
    },
  });
  try {
    const socket = `--socket=${join(running.directory, "socket")}`;
    execFileSync("mariadb", ["--no-defaults", socket, "--default-character-set=utf8mb4", "-u", "root"], {
      input: `CREATE DATABASE mail CHARACTER SET utf8mb4; USE mail; ${sql}`,
    });
  } catch (error) {
    await running.remove();
    throw error;
  }
  return running;
}

/**
 * An OpenLDAP with base dc=example,dc=com whose manager's password is "secret"; its `ldif` is loaded before it starts. With
 * StartTLS, it shows the certificate `certificate` in its directory, which is for "localhost".
 */
export function startSlapd(ldif: string): Promise<RunningDatabase> {
  return startDatabase({
    name: "slapd",
    user: "openldap",
    prepare(directory, port, account) {
      const [data, configuration] = [join(directory, "data"), join(directory, "slapd.d")];
      for (const path of [data, configuration]) {
        mkdirSync(path);
        chownSync(path, account.uid, account.gid);
      }
      const [certificate, key] = [join(directory, "certificate"), join(directory, "key")];
      const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "2"];
      const named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
      execFileSync("openssl", ["req", ...kind, ...named, "-keyout", key, "-out", certificate], { stdio: "pipe" });
      for (const path of [certificate, key]) chownSync(path, account.uid, account.gid);
      const add = (database: string, input: string) =>
        execFileSync("/usr/sbin/slapadd", ["-F", configuration, "-n", database], { input, ...account, cwd: directory });
      add("0", slapdConfiguration(data, certificate, key));
      add("1", ldif);
      return ["/usr/sbin/slapd", "-d", "0", "-F", configuration, "-h", `ldap://127.0.0.1:${port}/`];
    },
  });
}

const slapdConfiguration = (data: string, certificate: string, key: string): string => `dn: cn=config
objectClass: olcGlobal
cn: config
olcTLSCertificateFile: ${certificate}
olcTLSCertificateKeyFile: ${key}

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif

include: file:///etc/ldap/schema/cosine.ldif

include: file:///etc/ldap/schema/inetorgperson.ldif

dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcSuffix: dc=example,dc=com
olcRootDN: cn=manager,dc=example,dc=com
olcRootPW: secret
olcDbDirectory: ${data}
olcDbMaxSize: 10485760
`;

export function startMemcached(): Promise<RunningDatabase> {
  return startDatabase({
    name: "memcached",
    user: "memcache",
    prepare: (_directory, port) => ["/usr/bin/memcached", "-l", "127.0.0.1", "-p", String(port), "-U", "0", "-m", "8"],
  });
}
