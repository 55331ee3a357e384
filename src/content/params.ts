import { int } from "../conf/param.ts";

/** What bounds the taking apart of messages, on their way in and out. */
export const contentParams = {
  mime_nesting_limit: int({
    default: "100",
    min: 1,
    since: "0.1",
    doc: "How deep multipart messages may be nested; deeper ones are refused where headers are checked.",
  }),
  mime_boundary_length_limit: int({
    default: "2048",
    min: 1,
    since: "0.1",
    doc: "How many bytes of a MIME boundary are compared.",
  }),
} as const;
