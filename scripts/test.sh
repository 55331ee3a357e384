#!/bin/sh
# npm test: installs what the tests need, Debian's mail programs as peers included, and runs them all.
. "$(dirname -- "$0")/install.sh"
set -e
sh scripts/peers.sh
node_modules/.bin/tsc -p .
node_modules/.bin/biome check --error-on-warnings .
"$node" scripts/generate-docs.ts --check
exec "$node" --test --test-concurrency=2 --test-timeout=600000 'src/**/*.test.ts' 'test/**/*.test.ts'
