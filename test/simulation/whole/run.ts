import type { ConfTexts } from "../../../src/conf/load.ts";
import type { Plan } from "../../../src/master/master.ts";
import { formatId } from "../../../src/queue/id.ts";
import { preload } from "../../../src/sasl/saslprep.ts";
import { SimulatedDisk } from "../engine.ts";
import { quiet, type Ran, World } from "../world.ts";
import { relayAddress, SimulatedClient } from "./client.ts";
import { SimulatedFiles } from "./files.ts";
import { System } from "./master.ts";
import { hostsOf } from "./names.ts";
import { SimulatedNetwork } from "./network.ts";
import { lifetime_ms, WholeOracle } from "./oracle.ts";
import { maildrop, sendmail } from "./sendmail.ts";
import { ServerSession } from "./server.ts";

/**
 * A whole relay in a simulated world: clients speak SMTP to the real server, mail goes through cleanup, the queue on a disk that
 * fails, the scheduler and the SMTP client to servers that refuse, stall and vanish, and comes back as notifications. Relays die at any
 * moment and are started again, or are replaced by a reload, by the real master. At the end everything works
 * and nobody helps: what is queued must come to its end by itself, and what clients were told must have come true.
 */
export async function runWhole(seed: number, steps = 30): Promise<Ran> {
  // What is loaded only when it is needed would be read from the real disk, in its own time.
  await preload();
  const run = new WholeRun(seed);
  const { world } = run;
  try {
    await run.start();
    for (let step = 0; step < steps && !world.violation; step++) await run.step();
    if (!world.violation) await run.finish();
  } catch (error) {
    world.violated(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return { seed, violation: world.violation, hash: world.hash, trace: world.trace };
}

const domains = [0, 1, 2, 3, 4, 9];

const common = `
myhostname = relay.example
inet_interfaces = ${relayAddress.address}
mynetworks = 10.9.0.0/16
mydestination =
virtual_alias_domains = v.example
virtual_alias_maps = regexp:/etc/postern/virtual
compatibility_level = 3.6
alias_maps =
queue_directory = /spool
smtp_tls_security_level = none
smtpd_timeout = 60s
smtpd_recipient_limit = 5
message_size_limit = 150000
minimal_backoff_time = 20s
maximal_backoff_time = 100s
queue_run_delay = 20s
maximal_queue_lifetime = ${lifetime_ms / 1000}s
bounce_queue_lifetime = ${lifetime_ms / 1000}s
smtp_helo_timeout = 30s
smtp_mail_timeout = 30s
smtp_rcpt_timeout = 30s
smtp_data_init_timeout = 30s
smtp_data_xfer_timeout = 40s
smtp_data_done_timeout = 50s
smtp_connection_cache_time_limit = 10s
smtpd_drain_time_limit = 5s
`;

const virtual = "/^pair-(.+)@v\\.example$/ left-pair-$1@d1.example, right-pair-$1@d2.example\n";

/** What a reload may change. */
const variants = [
  "",
  "default_destination_recipient_limit = 1\npostern_queue_cache_size = 0\n",
  "default_destination_concurrency_limit = 1\nqmgr_message_active_limit = 4\n",
  "smtp_destination_rate_delay = 1s\npostern_queue_cache_size = 0\n",
  "smtp_connection_cache_on_demand = no\n",
  "postern_queue_cache_size = 0\n",
];

class WholeRun {
  readonly world: World;
  readonly #disk = new SimulatedDisk();
  readonly #oracle: WholeOracle;
  readonly #network: SimulatedNetwork;
  readonly #files: SimulatedFiles;
  readonly #system: System;
  #count = 0;
  #sessions = 0;
  #reloading: object | undefined;

  constructor(seed: number) {
    this.world = new World(seed);
    const { world } = this;
    if (world.chance(0.25)) world.failingSyncs = 0.6;
    if (world.chance(0.2)) Object.assign(world, { failingReads: 0.3, largeMessages: 0.6 });
    this.#oracle = new WholeOracle(world);
    this.#network = new SimulatedNetwork(world);
    this.#files = new SimulatedFiles(world);
    this.#files.put("/etc/postern/virtual", Buffer.from(virtual));
    for (const domain of domains) {
      for (const address of hostsOf(domain)) {
        const name = `d${domain}.example`;
        this.#network.serve(
          { address, port: 25 },
          (connection) => new ServerSession(world, this.#oracle, connection, name),
        );
      }
    }
    this.#system = new System({ world, disk: this.#disk, network: this.#network, files: this.#files });
  }

  /** Until the first relay serves; what keeps one from coming up is tried again. */
  async start(): Promise<void> {
    this.#apply();
    await this.#pass(1000);
  }

  async step(): Promise<void> {
    const { world } = this;
    // A start that failed is tried again by whoever wanted it.
    if (!this.#system.master.relayPid && world.chance(0.3)) this.#apply();
    this.#act(world.below(100));
    await quiet();
    const kind = world.below(100);
    if (kind < 50) await this.#pass(world.below(30));
    else if (kind < 85) await this.#pass(world.below(3000));
    else await this.#pass(world.below(60_000));
  }

  #act(kind: number): void {
    const { world } = this;
    if (kind < 55) this.#client(1 + world.below(world.chance(0.3) ? 5 : 2));
    else if (kind < 63) this.#kill();
    else if (kind < 73) world.pick(this.#system.living)?.fuse(1 + world.below(world.pick([6, 30, 200]) ?? 1));
    else if (kind < 81) this.#apply();
    else if (kind < 85) world.clock.jump((world.below(3) - 1) * (world.chance(0.2) ? 2 * lifetime_ms : 90_000));
    else if (kind < 88) this.#system.master.flush();
    else if (kind < 91) this.#losePower();
    else if (kind < 98) this.#sendmail();
    this.#oracle.look();
  }

  /** `must`: it has to get rid of everything. */
  #client(messages: number, must = false): void {
    const { world } = this;
    if (this.#sessions >= 6 && !must) return;
    this.#sessions++;
    const parts = { world, network: this.#network, oracle: this.#oracle, nextNumber: () => this.#count++ };
    const client = new SimulatedClient(parts, `client ${this.#count++}`);
    client
      .run(messages)
      .then((allTaken) => {
        if (must && !allTaken) world.violated("everything works, and a client cannot get rid of its mail");
      })
      .catch((error: unknown) =>
        world.violated(error instanceof Error ? (error.stack ?? error.message) : String(error)),
      )
      .finally(() => {
        this.#sessions--;
      });
  }

  #sendmail(): void {
    const { world } = this;
    const number = this.#count++;
    const process = this.#system.other(`sendmail ${number}`);
    if (world.faulty && world.chance(0.3)) process.fuse(1 + world.below(8));
    sendmail({ world, files: this.#files, oracle: this.#oracle }, process, number).catch((error: unknown) =>
      world.violated(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  }

  /** Of two, the old one as well as the new one. */
  #kill(): void {
    this.world.pick(this.#system.living)?.die({ status: undefined, signal: "SIGKILL" });
  }

  #losePower(): void {
    this.#system.losePower();
    this.#reloading = undefined;
    this.#apply();
  }

  /** A start or a reload. One that fails changes nothing; the first is tried until it does not. */
  #apply(): void {
    if (this.#reloading) return;
    const { world } = this;
    const reload = {};
    this.#reloading = reload;
    world.note("reload");
    this.#system.master
      .apply(planOf(world.pick(variants) ?? ""))
      .catch((error: Error) => world.note(`not reloaded: ${error.message}`))
      .finally(() => {
        if (this.#reloading === reload) this.#reloading = undefined;
      });
  }

  /** Where nothing is wrong, a reload is noticed by nobody; and where the old relay dies of it, nothing is lost, either. */
  #lastReload(): void {
    const { world } = this;
    const dies = world.chance(0.4);
    const [old] = this.#system.living;
    for (let each = 0; each < 4; each++) world.clock.after(world.below(400), () => this.#client(2, !dies));
    world.clock.after(world.below(200), () => this.#apply());
    if (dies) world.clock.after(200 + world.below(400), () => old?.die({ status: undefined, signal: "SIGKILL" }));
  }

  /** Time goes on from timer to timer, as it does. */
  async #pass(by_ms: number): Promise<void> {
    const { clock } = this.world;
    const end_ms = clock.monotonic() + by_ms;
    while (!this.world.violation) {
      const next_ms = clock.next_ms;
      if (next_ms === undefined || clock.monotonic() + next_ms > end_ms) break;
      clock.advance(next_ms);
      await quiet();
    }
    clock.advance(Math.max(0, end_ms - clock.monotonic()));
    await quiet();
  }

  /** Nobody waits for anything. */
  #isEmpty(): boolean {
    const handedIn = this.#files.executables(maildrop).length;
    return handedIn === 0 && this.#sessions === 0 && this.#disk.queue.messages.size === 0;
  }

  async finish(): Promise<void> {
    const { world } = this;
    world.faulty = false;
    world.note("everything works");
    for (const relay of this.#system.living) relay.fuse(undefined);
    for (let round = 0; round < 60 && !world.violation; round++) {
      if (!this.#system.master.relayPid) this.#apply();
      await this.#pass(round < 5 ? 5000 : 30_000);
      this.#oracle.look();
      if (round === 2) this.#lastReload();
      if (round === 3) this.#sendmail();
      if (round > 3 && this.#system.master.relayPid && this.#isEmpty()) break;
    }
    if (this.#sessions > 0) world.violated(`${this.#sessions} clients are still waiting`);
    const waiting = this.#files.executables(maildrop);
    if (waiting.length > 0) world.violated(`this is left in the maildrop: ${waiting}`);
    const left = [...this.#disk.queue.messages.values()].map(
      ({ id, state: is, owner }) => `${formatId(id)} (state ${is} of ${owner})`,
    );
    if (left.length > 0) world.violated(`this is left in the queue: ${left}`);
    this.#oracle.finished();
  }
}

const masterCf = "smtp inet n - n - - smtpd\n";

function planOf(variant: string): Plan {
  const conf: ConfTexts = {
    directory: "/etc/postern",
    mainCf: common + variant,
    masterCf,
    host: { name: "relay.example", interfaces: [] },
  };
  return {
    begin: { conf, dropTo: undefined, verbose: false },
    wanted: [{ line: 1, endpoint: relayAddress, optional: false }],
    command: { program: "relay", args: [], env: {} },
  };
}
