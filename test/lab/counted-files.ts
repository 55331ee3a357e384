import type { Files, OpenFile } from "../../src/runtime/files.ts";

/** The same files, of which a test can tell when nothing is under way any more. */
export function countedFiles(files: Files): { readonly files: Files; settled(): Promise<void> } {
  let pending = 0;
  const counted = <Target extends object>(target: Target): Target =>
    new Proxy(target, {
      get(from, name) {
        const member: unknown = Reflect.get(from, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          const result: unknown = member.apply(from, args);
          if (!(result instanceof Promise)) return result;
          pending++;
          return result
            .then((value) => (name === "open" ? counted(value as OpenFile) : value))
            .finally(() => pending--);
        };
      },
    });
  return {
    files: counted(files),
    async settled() {
      for (let quiet = 0; quiet < 3; quiet = pending === 0 ? quiet + 1 : 0)
        await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
