import { int, list } from "../conf/param.ts";

/** What pickup and sendmail read. */
export const pickupParams = {
  authorized_submit_users: list({
    default: "static:anyone",
    since: "0.1",
    doc: "Users who may submit mail with sendmail: names, numbers, static:anyone, or !name to exclude one before what would include it. Root and mail_owner always may.",
  }),
  maildrop_scan_limit: int({
    default: "10000",
    min: 1,
    since: "0.1",
    doc: "How many files of the maildrop directory one scan looks at.",
  }),
} as const;
