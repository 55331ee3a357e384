/** Which deferred messages are tried at once. */
export type FlushWhich = "all" | { readonly ids: readonly string[] } | { readonly destination: string };
