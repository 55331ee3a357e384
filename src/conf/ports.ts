/** Ports of services that mail knows by name (Postfix: known_tcp_ports), so that /etc/services may be missing. */
const known: Readonly<Record<string, number>> = {
  smtp: 25,
  lmtp: 24,
  smtps: 465,
  submissions: 465,
  submission: 587,
  qmqp: 628,
};

/** A look-up of TCP ports by service name: the well-known names of mail, then the text of an /etc/services. */
export function portTable(services = ""): (name: string) => number | undefined {
  let listed: Map<string, number> | undefined;
  return (name) => {
    if (Object.hasOwn(known, name)) return known[name];
    listed ??= parseServices(services);
    return listed.get(name);
  };
}

/** `name port/tcp alias …  # comment`; the first entry of a name counts. */
function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name, port, ...aliases] = (line.split("#", 1)[0] ?? "").trim().split(/\s+/);
    const [, number] = /^(\d+)\/tcp$/.exec(port ?? "") ?? [];
    if (!name || number === undefined) continue;
    for (const each of [name, ...aliases]) if (!ports.has(each)) ports.set(each, Number(number));
  }
  return ports;
}
