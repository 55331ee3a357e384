#!/bin/sh
# npm run check: types, lint, generated pages, the rules of the house, unit tests. Run it before each commit.
. "$(dirname -- "$0")/install.sh"
set -e
node_modules/.bin/tsc -p .
node_modules/.bin/biome check --error-on-warnings .
"$node" scripts/generate-docs.ts --check
"$node" --test --test-reporter=dot 'src/**/*.test.ts' 'test/house/*.test.ts'
