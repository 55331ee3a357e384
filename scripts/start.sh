#!/bin/sh
# npm start: everything a first look needs, on a machine with only Node and npm.
. "$(dirname -- "$0")/install.sh"
exec "$node" --disable-warning=ExperimentalWarning scripts/first-steps.ts "$@"
