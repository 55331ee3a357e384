// Checks Node's version before anything else is loaded: native modules that
// were built for a newer one crash on an older one. Plain JavaScript that any
// Node understands.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 26 || (major === 26 && minor < 4)) {
  process.stderr.write(
    `postern: needs Node.js 26.4 or newer, and this is ${process.versions.node}: run 'npm ci' in the directory above bin/\n`,
  );
  process.exit(78);
}
const { load } = (await import("./programs.cjs")).default;
const { main } = await load(`${import.meta.dirname.slice(0, -"/bin".length)}/build`, "cli-main", "src/cli/main.ts");
process.exitCode = await main(process.argv[2] ?? "postern", process.argv.slice(3));
