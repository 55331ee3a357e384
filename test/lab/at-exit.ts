/**
 * What has to be undone even when a test ends badly: called when this process ends, an interrupt or the
 * test runner's time limit included. Undone earlier, it is taken off by what `atExit` returns.
 */
export function atExit(undo: () => void): () => void {
  if (undoing.size === 0) {
    process.on("exit", undoAll);
    for (const signal of signals) process.on(signal, leave);
  }
  undoing.add(undo);
  return () => {
    undoing.delete(undo);
    if (undoing.size > 0) return;
    process.off("exit", undoAll);
    for (const signal of signals) process.off(signal, leave);
  };
}

const undoing = new Set<() => void>();
const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

function leave(): void {
  process.exit(1);
}

/** The latest first: what was made last may stand on what was made before. */
function undoAll(): void {
  for (const undo of [...undoing].reverse()) {
    try {
      undo();
    } catch (error) {
      process.stderr.write(`while cleaning up: ${error}\n`);
    }
  }
}
