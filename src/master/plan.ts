import { fileURLToPath } from "node:url";
import { type Imported, importedFrom } from "../conf/environment.ts";
import type { LoadedConf } from "../conf/load.ts";
import { ConfError, type Problem } from "../conf/problem.ts";
import { type Configuration, configure } from "../relay/configuration.ts";
import { serviceEndpoints } from "../relay/endpoints.ts";
import { type Account, findAccount, findGroup } from "../runtime/accounts.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Plan } from "./master.ts";
import type { WantedSocket } from "./sockets.ts";

/** A configuration that can be started with: checked, its accounts and addresses found. */
export interface Prepared {
  readonly configuration: Configuration;
  /** Undefined when we are not root: nothing is dropped. */
  readonly owner: Account | undefined;
  readonly maildropGroup: number | undefined;
  readonly plan: Plan;
}

/** Where the relay's own program is. */
const relayProgram = fileURLToPath(new URL("../relay/process.ts", import.meta.url));

/** Throws ConfError with every problem. */
export async function prepare(
  runtime: Runtime,
  loaded: LoadedConf,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Prepared> {
  const configuration = configure(loaded.texts, loaded.problems);
  const problems: Problem[] = [];
  const root = runtime.processes.uid() === 0;
  const owner = root ? await ownerAccount(runtime, configuration, problems) : undefined;
  const maildropGroup = root ? await setgidGroup(runtime, configuration, problems) : undefined;
  const wanted = await wantedSockets(runtime, configuration, problems);
  if (problems.length > 0) throw new ConfError(problems);
  const { program, args } = runtime.processes.self;
  const dropTo = owner && {
    ...owner,
    groups: maildropGroup === undefined ? owner.groups : [...new Set([...owner.groups, maildropGroup])],
  };
  return {
    configuration,
    owner,
    maildropGroup,
    plan: {
      begin: { conf: loaded.texts, dropTo, verbose: false },
      wanted,
      command: { program, args: [...args, relayProgram], env: childEnvironment(configuration.conf, env) },
    },
  };
}

/** What a relay and other children get of our environment: PATH and what import_environment says, so nothing that was not meant for them. */
export function childEnvironment(
  { import_environment }: { readonly import_environment: readonly Imported[] },
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return importedFrom([{ name: "PATH", value: undefined }, ...import_environment], env);
}

async function ownerAccount(runtime: Runtime, { conf, settings }: Configuration, problems: Problem[]) {
  const account = await findAccount(runtime.files, conf.mail_owner);
  const place = settings.at("mail_owner") ?? { file: "", line: 0 };
  if (!account) {
    problems.push({
      ...place,
      text: `mail_owner = ${conf.mail_owner}: there is no such account`,
      remedy: conf.mail_owner
        ? `Create it: adduser --system --group --no-create-home --home /nonexistent ${conf.mail_owner}`
        : "Name an account without privileges, such as postfix.",
    });
  } else if (account.uid === 0) {
    problems.push({
      ...place,
      text: `mail_owner = ${conf.mail_owner} is root`,
      remedy: "Name an account without privileges.",
    });
  }
  return account;
}

async function setgidGroup(runtime: Runtime, { conf, settings }: Configuration, problems: Problem[]) {
  const group = await findGroup(runtime.files, conf.setgid_group);
  if (group === undefined) {
    problems.push({
      ...(settings.at("setgid_group") ?? { file: "", line: 0 }),
      text: `setgid_group = ${conf.setgid_group}: there is no such group`,
      remedy: conf.setgid_group
        ? `Create it: addgroup --system ${conf.setgid_group}`
        : "Name a group, such as postdrop.",
    });
  }
  return group;
}

async function wantedSockets(runtime: Runtime, configuration: Configuration, problems: Problem[]) {
  const wanted: WantedSocket[] = [];
  for (const { service } of configuration.smtpd) {
    if (!service.endpoint) continue;
    try {
      const found = await serviceEndpoints(service.endpoint, configuration.conf, async (name) =>
        (await runtime.names.native(name)).map(({ address }) => address),
      );
      for (const each of found) wanted.push({ ...each, line: service.line });
    } catch (error) {
      problems.push({
        file: service.file,
        line: service.line,
        text: `service ${service.name}: ${error instanceof Error ? error.message : String(error)}`,
        remedy: "Correct the name here or in inet_interfaces, or write an address.",
      });
    }
  }
  return wanted;
}
