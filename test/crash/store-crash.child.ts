import { memoryLog } from "../../src/log/log.ts";
import { openSqliteStore, startSqliteWorker } from "../../src/queue/open.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { work } from "./store-load.ts";

/** A store at work (store-load.ts) until it is killed. Arguments: directory, owner, generation, the owner before. */
const [directory = "", owner = "", generation = "0", predecessor = ""] = process.argv.slice(2);

const engine = await startSqliteWorker();
const options = { directory, owner, generation: Number(generation), runtime: realRuntime(), log: memoryLog() };
const store = await openSqliteStore(engine, { ...options, checkpoint_bytes: 1_048_576 });
await store.release(predecessor);
await Promise.all(Array.from({ length: 16 }, () => work(store, Number.POSITIVE_INFINITY)));
