/** What the SQLite tables' thread is asked, and what it answers. */
export type SqliteRequest =
  | { readonly kind: "open"; readonly number: number; readonly path: string }
  | { readonly kind: "query"; readonly number: number; readonly path: string; readonly query: string };

/** The first column of each row, as text; or what went wrong. */
export type SqliteReply =
  | { readonly number: number; readonly values: readonly (string | null)[] }
  | { readonly number: number; readonly problem: string };
