#!/bin/sh
# npm run fuzz [-- TARGET [COUNT [SEED]]]: odd inputs of tables, a million of each kind.
. "$(dirname -- "$0")/install.sh"
set -e
exec "$node" fuzz/tables.ts "$@"
