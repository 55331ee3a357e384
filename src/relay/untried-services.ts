import { commandName, type MasterService } from "../conf/master-cf.ts";
import type { Problem } from "../conf/problem.ts";
import type { Settings } from "../conf/settings.ts";
import { builtInUntried, type Untried } from "../qmgr/verdict.ts";
import { splitTransport } from "../routing/next-hop.ts";

/**
 * The `unix` services of master.cf that no SMTP client serves: what becomes of mail
 * that transport_maps and its like send to them, and what an administrator is told of it.
 */

/** Programs that deliver mail, and that there are none of here. */
const absent = new Set(["pipe", "virtual", "local"]);

/** There is no delivery into mailboxes, whether master.cf has these services or not. */
const mailboxServices = ["local", "virtual"];

export function untriedServices(services: readonly MasterService[]): ReadonlyMap<string, Untried> {
  const found = new Map<string, Untried>(builtInUntried);
  for (const name of mailboxServices) found.set(name, unavailable(name, name));
  for (const { name, type, command } of services) {
    if (type !== "unix") continue;
    const program = commandName(command);
    if (program === "discard") found.set(name, { kind: "discard" });
    else if (absent.has(program)) found.set(name, unavailable(name, program));
    else if (program === "error" && !builtInUntried.has(name)) found.set(name, { kind: "unavailable", why: misnamed });
    else if (program === "smtp" || program === "lmtp") found.delete(name);
  }
  return found;
}

function unavailable(name: string, program: string): Untried {
  return { kind: "unavailable", why: `service ${name} runs ${program}, which is not supported here` };
}

/** As error(8) has it, which goes by the name it is called by. */
const misnamed = "the error service has to be called error or retry";

/** Said at each start, once for all of them: services that cannot be delivered through. Those of Debian's master.cf are nearly always unused. */
export function unsupportedServices(services: readonly MasterService[]): Problem[] {
  const piped = services.filter(({ type, command }) => type === "unix" && commandName(command) === "pipe");
  const [first] = piped;
  if (!first) return [];
  const names = piped.map(({ name }) => name).join(", ");
  const text = `pipe is not supported: mail that is routed to one of these services waits: ${names}`;
  return [{ file: first.file, line: 0, text, remedy: "" }];
}

/** Parameters that name a transport, and what they are for. */
const namingTransports = [
  ...["default_transport", "relay_transport", "local_transport", "virtual_transport"],
  ...["mailbox_transport", "fallback_transport", "best_mx_transport"],
] as const;

const optional: ReadonlySet<string> = new Set(["mailbox_transport", "fallback_transport", "best_mx_transport"]);

/** Parameters that lead to a transport that does not exist, or delivers nothing here. */
export function deadTransports(
  settings: Settings,
  transports: readonly { readonly name: string }[],
  untried: ReadonlyMap<string, Untried>,
): Problem[] {
  return namingTransports.flatMap((parameter) => {
    const [name] = splitTransport(settings.value(parameter));
    if (name === "" && optional.has(parameter)) return [];
    const service = untried.get(name);
    if (transports.some((each) => each.name === name) || (service && service.kind !== "unavailable")) return [];
    // Mail for mydestination goes where its aliases lead; that is said elsewhere.
    if (parameter === "local_transport" && name === "local") return [];
    if (parameter === "virtual_transport" && settings.value("virtual_mailbox_domains").trim() === "") return [];
    const why = service?.why ?? (name === "" ? "it names no transport" : `master.cf has no service ${name}`);
    const place = settings.at(parameter) ?? { file: "", line: 0 };
    return [{ ...place, text: `parameter ${parameter}: ${why}: such mail waits`, remedy: "" }];
  });
}
