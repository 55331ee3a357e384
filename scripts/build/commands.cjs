// commands.cjs DIRECTORY ARGUMENT ...: a command of a build.
"use strict";
const [directory, ...args] = process.argv.slice(2);
const { main } = require("../../bin/programs.cjs").load(directory, "cli-main", "src/cli/main.ts");
main("postern", args).then(() => process.exit(0));
