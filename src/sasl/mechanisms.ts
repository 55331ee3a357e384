import { anonymous } from "./anonymous.ts";
import { cramMd5 } from "./cram-md5.ts";
import { login } from "./login.ts";
import type { ClientMechanism } from "./mechanism.ts";
import { plain } from "./plain.ts";
import { scramSha1, scramSha256 } from "./scram.ts";

/**
 * Every mechanism that the SMTP client knows, the one to prefer first. The
 * server's order says nothing about strength and is not looked at.
 */
export const clientMechanisms: readonly ClientMechanism[] = [scramSha256, scramSha1, cramMd5, plain, login, anonymous];
