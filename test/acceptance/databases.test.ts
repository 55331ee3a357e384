import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import Sqlite from "better-sqlite3";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { makePostern, type Postern } from "../lab/postern.ts";
import { type Sink, startSink } from "../lab/sink.ts";
import { databasePrograms, startPostgres } from "../peers/database.ts";

/**
 * A relay whose aliases are in an SQLite file and whose routes are in a PostgreSQL database; the files that say
 * so, and the SQLite file, are root's alone. It starts as root and goes on as another user.
 */
const able = needs({
  root: true,
  programs: ["smtp-sink", "ip", "ss", "setpriv", ...(databasePrograms.postgresql ?? [])],
});

let network: Network;
let server: Awaited<ReturnType<typeof startPostgres>>;
let sink: Sink;
let postern: Postern;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork({});
  server = await startPostgres(`
    CREATE TABLE routes (domain text, nexthop text); CREATE ROLE reader LOGIN PASSWORD 'pass';
    GRANT SELECT ON routes TO reader;`);
  sink = await startSink(network.provider, 2525);
  postern = makePostern({
    host: network.client,
    mainCf: {
      virtual_alias_maps: "proxy:sqlite:@DIRECTORY@/etc/aliases.cf",
      virtual_alias_domains: "lists.example",
      transport_maps: "pgsql:@DIRECTORY@/etc/routes.cf",
      minimal_backoff_time: "1s",
      queue_run_delay: "1s",
    },
  });
  const database = join(postern.etc, "aliases.db");
  const file = new Sqlite(database);
  file.exec("CREATE TABLE a (k TEXT, v TEXT)");
  file.exec(
    "INSERT INTO a VALUES ('team@lists.example', 'one@dest.example'), ('team@lists.example', 'two@dest.example')",
  );
  file.close();
  chmodSync(database, 0o600);
  write("aliases.cf", `dbpath = ${database}\nquery = SELECT v FROM a WHERE k = '%s'\n`);
  write(
    "routes.cf",
    `hosts = postgresql://reader@/mail?host=${server.directory}&port=${server.port}\nretry_interval = 1\n` +
      "query = SELECT nexthop FROM routes WHERE domain = '%s'\n",
  );
  const route = `INSERT INTO routes VALUES ('dest.example', 'smtp:${sink.relayhost}');`;
  server.sql("mail", route);
  postern.start();
});

after(async () => {
  postern?.remove();
  sink?.stop();
  await server?.remove();
  network?.remove();
});

const write = (name: string, text: string): void => writeFileSync(join(postern.etc, name), text, { mode: 0o600 });

test("mail goes where the databases say, which are asked after privileges were dropped", able, async () => {
  postern.send("Subject: x\nMessage-Id: <1@test>\n\ntext\n", ["-f", "me@client.example.com", "team@lists.example"]);
  await sink.received(1);
  const [text = ""] = sink.texts();
  for (const name of ["one", "two"]) assert.match(text, new RegExp(`X-Rcpt-Args: <${name}@dest\\.example>`));
});

test("mail waits while the database is away, and goes on when it is back", able, async () => {
  const from = postern.log().length;
  await server.stop();
  postern.send("Subject: y\nMessage-Id: <2@test>\n\ntext\n", ["-f", "me@client.example.com", "x@dest.example"]);
  await postern.logged(/warning: (?:connect to )?pgsql/, from);
  assert.equal(sink.messages().size, 1);
  await server.start();
  await sink.received(2);
  assert.doesNotMatch(postern.log(), /status=bounced/);
});
