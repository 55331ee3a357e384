#!/bin/sh
# npm run bench [scenario ...]: Postern and Debian's Postfix, interleaved, on this machine.
. "$(dirname -- "$0")/install.sh"
set -e
sh scripts/peers.sh
exec "$node" bench/relay.ts "$@"
