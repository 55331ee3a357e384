import { NameError, type Names } from "../../../src/runtime/names.ts";
import type { World } from "../world.ts";
import type { SimulatedProcess } from "./process.ts";

/** Domains of recipients are d0.example, d1.example, …; each has a host or two that take its mail. */
export function hostsOf(domain: number): string[] {
  return domain % 2 === 0 ? [`10.1.${domain}.1`] : [`10.1.${domain}.1`, `10.1.${domain}.2`];
}

/** Names and addresses of the simulated world. The name service is slow, and at times it cannot tell. */
export function simulatedNames(world: World, process: SimulatedProcess): Names {
  const ask = async <T>(name: string, known: T[]): Promise<T[]> => {
    await process.pause(world.below(world.faulty && world.chance(0.05) ? 8000 : 4));
    if (world.faulty && world.chance(0.03)) throw new NameError("tryAgain", `${name}: no answer`);
    if (known.length === 0) throw new NameError("notFound", `${name}: not found`);
    return known;
  };
  const mailHosts = (name: string) => {
    const [, domain] = /^d(\d)\.example$/.exec(name) ?? [];
    return domain === undefined ? [] : hostsOf(Number(domain)).map((_, index) => `mx${index + 1}.${name}`);
  };
  const addresses = (name: string): string[] => {
    const [, index, domain] = /^mx(\d)\.d(\d)\.example$/.exec(name) ?? [];
    return hostsOf(Number(domain ?? -1)).slice(Number(index) - 1, Number(index));
  };
  return {
    mx: (name) =>
      ask(
        name,
        mailHosts(name).map((exchange, index) => ({ preference: 10 * (index + 1), exchange })),
      ),
    addresses: (name, family) => ask(name, family === 4 ? addresses(name) : []),
    srv: (name) => ask(name, []),
    reverse: (address) => ask(address, []),
    native: async (name) => (await ask(name, addresses(name))).map((address) => ({ address, family: 4 as const })),
  };
}
