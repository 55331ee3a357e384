#!/bin/sh
# npm run fuzz [-- TYPE [COUNT [SEED]]]: damaged index files, a million of each type of table.
. "$(dirname -- "$0")/install.sh"
set -e
exec "$node" fuzz/index-files.ts "$@"
