/**
 * The ESMTP parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152),
 * SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461), AUTH (RFC 4954).
 * Each function takes one word, notes what it says, and returns undefined, or
 * the reply that refuses the command.
 */
import type { Notify } from "../queue/message.ts";
import { splitParameter } from "../rfc5321/command.ts";
import { decodeXtext } from "../rfc5321/xtext.ts";
import { printable, replies } from "./words.ts";

export interface MailParameters {
  smtputf8: boolean;
  body: "7BIT" | "8BITMIME" | undefined;
  declaredSize_bytes: number;
  envid: string | undefined;
  ret: "FULL" | "HDRS" | undefined;
}

export interface RcptParameters {
  notify: Notify;
  orcpt: string | undefined;
}

/** What EHLO offers, as far as it may be turned off. */
export interface Offers {
  readonly smtputf8: boolean;
  readonly dsn: boolean;
}

const largestSize = 2n ** 63n - 1n;

export function mailParameter(word: string, said: MailParameters, offers: Offers): string | undefined {
  const { name, value } = splitParameter(word);
  if (name === "SMTPUTF8" && value === undefined && offers.smtputf8) return undefined;
  switch (value === undefined ? "" : name) {
    case "BODY":
      return body(value ?? "", word, said);
    case "SIZE":
      return size(value ?? "", said);
    case "AUTH":
      // Taken and ignored, as RFC 4954 section 5 allows: nobody is authenticated here.
      return undefined;
    case "RET":
      return offers.dsn ? ret(value ?? "", said) : replies.dsnDisabled;
    case "ENVID":
      return offers.dsn ? envid(value ?? "", said) : replies.dsnDisabled;
    default:
      return replies.unsupportedOption(printable(word));
  }
}

export function rcptParameter(word: string, said: RcptParameters, offers: Offers): string | undefined {
  const { name, value } = splitParameter(word);
  if (value === undefined || (name !== "NOTIFY" && name !== "ORCPT")) return replies.unsupportedOption(printable(word));
  if (!offers.dsn) return replies.dsnDisabled;
  if (name === "NOTIFY") {
    const notify = parseNotify(value);
    if (said.notify || !notify) return replies.badNotify;
    said.notify = notify;
    return undefined;
  }
  if (said.orcpt !== undefined || !isOrcpt(value)) return replies.badOrcpt;
  said.orcpt = value;
  return undefined;
}

function body(value: string, word: string, said: MailParameters): string | undefined {
  const wanted = value.toUpperCase();
  if (wanted !== "7BIT" && wanted !== "8BITMIME") return replies.unsupportedOption(printable(word));
  said.body = wanted;
  return undefined;
}

function size(value: string, said: MailParameters): string | undefined {
  if (!/^\d+$/.test(value)) return replies.badSize;
  if (value.length > 19 || BigInt(value) > largestSize) return replies.impossibleSize;
  said.declaredSize_bytes = Number(value);
  return undefined;
}

function ret(value: string, said: MailParameters): string | undefined {
  const wanted = value.toUpperCase();
  if (said.ret !== undefined || (wanted !== "FULL" && wanted !== "HDRS")) return replies.badRet;
  said.ret = wanted;
  return undefined;
}

function envid(value: string, said: MailParameters): string | undefined {
  if (said.envid !== undefined || value === "" || !isPrintable(decodeXtext(value))) return replies.badEnvid;
  said.envid = value;
  return undefined;
}

/** RFC 3461 section 4.1: NEVER alone, or any of the others. */
function parseNotify(value: string): Notify {
  const words = value.toUpperCase().split(",");
  const found = (["NEVER", "SUCCESS", "FAILURE", "DELAY"] as const).filter((word) => words.includes(word));
  if (found.length === 0 || words.some((word) => !(found as string[]).includes(word))) return undefined;
  return found[0] === "NEVER" && found.length > 1 ? undefined : found;
}

/** RFC 3461 section 4.2: "type;xtext"; for utf-8 (RFC 6533 section 3) the text itself. */
function isOrcpt(value: string): boolean {
  const [, type, address] = /^([\w-]+);(.*)$/s.exec(value) ?? [];
  if (type === undefined || address === undefined) return false;
  if (type.toLowerCase() === "utf-8") return isPrintable(address) && !/\s/.test(address);
  return isPrintable(decodeXtext(address));
}

function isPrintable(text: string | undefined): boolean {
  return text !== undefined && !/[\x00-\x08\x0a-\x1f\x7f-\x9f]/.test(text);
}
