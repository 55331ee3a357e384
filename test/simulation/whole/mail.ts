import type { World } from "../world.ts";
import type { Offer, WholeOracle } from "./oracle.ts";

/** A message that somebody wants to send. */
export interface Wish {
  /** "" is nobody. */
  readonly sender: string;
  readonly addresses: readonly string[];
  readonly size_bytes: number;
}

/** `number` is for this wish alone. When everything works, nothing is wished for that has to be refused. */
export function makeWish(world: World, number: number): Wish {
  const sender = `s${number}@d9.example`;
  if (!world.faulty) return { sender, addresses: [`r${number}@d3.example`], size_bytes: world.below(3000) };
  const count = 1 + world.below(world.chance(0.3) ? 6 : 2);
  const addresses = Array.from({ length: count }, (_, index) => {
    const name = world.chance(0.5) ? `r${number}` : `r${number}-${index}`;
    if (world.chance(0.06)) return `${world.chance(0.5) ? "pair" : "nobody"}-${name}@v.example`;
    return `${name}@d${world.below(5)}.example`;
  });
  const large = world.chance(world.largeMessages);
  return {
    sender: world.chance(0.06) ? "" : sender,
    addresses: [...new Set(addresses)],
    size_bytes: large ? 60_000 + world.below(120_000) : world.below(1500),
  };
}

/** The next attempt to have it sent, whose addresses nobody else uses. Those at v.example are aliases, or nobody. */
export function makeOffer(
  { sender, addresses, size_bytes }: Wish,
  world: World,
  oracle: WholeOracle,
  who: string,
): Offer {
  const offer = oracle.offer(sender, (number) => makeText(world, number, sender, size_bytes));
  for (const address of addresses) {
    const [name = "", domain = ""] = address.split("@");
    const own = `${name}.${offer.number}`;
    const listed = name.startsWith("pair") ? [`left-${own}@d1.example`, `right-${own}@d2.example`] : undefined;
    oracle.asks(offer, `${own}@${domain}`, listed);
  }
  world.note(`${who} offers ${offer.number} of ${offer.text.length} bytes to ${[...offer.recipients.keys()]}`);
  return offer;
}

/** A header that needs nothing added, and lines of all kinds. */
function makeText(world: World, number: number, sender: string, size_bytes: number): Buffer {
  const lines = [
    `From: <${sender || "nobody@d9.example"}>`,
    "To: somebody <somebody@d0.example>",
    `Subject: ${number}`,
    `Message-Id: <${number}@client.example>`,
    "Date: Thu, 1 Jan 2026 00:00:00 +0000",
    "",
  ];
  const dotted = world.chance(0.5);
  for (let written = 0; written < size_bytes; ) {
    const kind = world.below(dotted ? 10 : 300);
    const text = "text ".repeat(world.below(150)).slice(0, 700);
    const line = kind < 2 ? ".".repeat(1 + world.below(3)) : kind < 3 ? "" : `${kind < 5 ? "." : ""}${text}`;
    lines.push(line);
    written += line.length + 2;
  }
  return Buffer.from(`${lines.join("\r\n")}\r\n`);
}
