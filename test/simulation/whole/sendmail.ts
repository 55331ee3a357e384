import type { SubmissionHead } from "../../../src/pickup/submission-file.ts";
import { Submit, SubmitError } from "../../../src/pickup/submit.ts";
import { seededRandom } from "../../../src/runtime/random.ts";
import type { World } from "../world.ts";
import type { SimulatedFiles } from "./files.ts";
import { makeOffer, makeWish } from "./mail.ts";
import type { WholeOracle } from "./oracle.ts";
import type { SimulatedProcess } from "./process.ts";

export const maildrop = "/spool/postern/maildrop";

/** The message size that cleanup takes. */
const largest_bytes = 140_000;

/**
 * A sendmail that writes one message into the maildrop, as the real one does (src/pickup/submit.ts), in a process that may die. Once it
 * has succeeded the message counts as acknowledged; where it fails nobody knows.
 */
export async function sendmail(
  { world, files, oracle }: { world: World; files: SimulatedFiles; oracle: WholeOracle },
  process: SimulatedProcess,
  number: number,
): Promise<void> {
  const wish = makeWish(world, number);
  const offer = makeOffer(
    { ...wish, size_bytes: Math.min(wish.size_bytes, largest_bytes) },
    world,
    oracle,
    process.name,
  );
  const recipients = [...offer.recipients.keys()];
  // Nobody has told it so, but these do not exist.
  oracle.refuses(recipients.filter((address) => address.startsWith("nobody-")));
  const crlf = world.chance(0.5);
  const head: SubmissionHead = {
    ...{
      version: 1,
      sender: offer.sender,
      recipients,
      fullName: "",
      notify: undefined,
      ret: undefined,
      envid: undefined,
    },
    ...{ crlf, smtputf8: false, service: "sendmail", gateway: world.chance(0.5) },
  };
  const text = crlf ? offer.text : Buffer.from(offer.text.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
  const submitting = {
    files: files.of(process),
    random: seededRandom(world.below(2 ** 30)),
    processes: { umask: () => 0 },
  };
  try {
    const submit = await Submit.begin(submitting, maildrop, head);
    for (let from = 0; from < text.length; from += 30_000) await submit.data(text.subarray(from, from + 30_000));
    offer.complete = true;
    await submit.finish();
    if (!process.effect()) return;
    world.note(`${process.name} has handed in ${offer.number}`);
    for (const address of recipients) offer.recipients.set(address, "accepted");
    oracle.told(offer, "acknowledged");
  } catch (error) {
    if (!(error instanceof SubmitError)) throw error;
    world.note(`${process.name} fails: ${error.message}`);
  } finally {
    process.die({ status: 0, signal: undefined });
  }
}
