import { hostname, networkInterfaces } from "node:os";

/** One address of one of this host's network interfaces. */
export interface InterfaceAddress {
  /** The kernel's name of the interface, such as "eth0". */
  readonly name: string;
  /** Numeric, without a zone. */
  readonly address: string;
  readonly family: 4 | 6;
  /** The length of the network part, in bits. */
  readonly prefix_bits: number;
  /** The interface is the loopback interface. */
  readonly loopback: boolean;
}

/** Who this host is. */
export interface Host {
  /** As the system calls itself, with or without a domain. */
  name(): string;
  /** Addresses of the interfaces that are up, in the kernel's order. */
  interfaces(): readonly InterfaceAddress[];
}

export const realHost: Host = {
  name: () => hostname(),
  interfaces() {
    const found: InterfaceAddress[] = [];
    for (const [name, addresses] of Object.entries(networkInterfaces())) {
      for (const { address, family, cidr, internal } of addresses ?? []) {
        const prefix_bits = Number(cidr?.split("/")[1] ?? (family === "IPv6" ? 128 : 32));
        found.push({ name, address, family: family === "IPv6" ? 6 : 4, prefix_bits, loopback: internal });
      }
    }
    return found;
  },
};
