import type { Params } from "../conf/param.ts";
import { globalParams } from "../conf/params.ts";

/** Every parameter that is read anywhere: for postconf, its manual page, and telling the unknown from the known. */
export const allParams: Params = {
  ...globalParams,
};
