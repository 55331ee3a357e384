import { bounceParams } from "../bounce/params.ts";
import { cleanupParams } from "../cleanup/params.ts";
import type { Params, Values } from "../conf/param.ts";
import { globalParams } from "../conf/params.ts";
import { contentParams } from "../content/params.ts";
import { dnsParams } from "../dns/params.ts";
import { pickupParams } from "../pickup/params.ts";
import { qmgrParams } from "../qmgr/params.ts";
import { queueParams } from "../queue/params.ts";
import { routingParams } from "../routing/params.ts";
import { lmtpParams } from "../smtp/lmtp-params.ts";
import { smtpParams } from "../smtp/params.ts";
import { smtpdParams } from "../smtpd/params.ts";
import { tlsParams } from "../tls/params.ts";
import { ownParams } from "./own-params.ts";

/** Every parameter that a relay reads, from the rooms that declare them. */
export const relayParams = {
  ...globalParams,
  ...bounceParams,
  ...cleanupParams,
  ...contentParams,
  ...dnsParams,
  ...pickupParams,
  ...qmgrParams,
  ...queueParams,
  ...routingParams,
  ...smtpParams,
  // Read by way of lmtpValues() alone: there is no type for each.
  ...(lmtpParams as object),
  ...smtpdParams,
  ...tlsParams,
  ...ownParams,
} as const;

export type RelayConf = Values<typeof relayParams>;

/** The same, for postconf, its manual page, and telling the unknown from the known. */
export const allParams: Params = relayParams;
