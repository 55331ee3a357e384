# Installs the packages of package-lock.json, unless they are there already, and builds what has changed since the last
# build. npm run build; and sourced by the other scripts; leaves $node and $root.
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root" || exit 1
node=$root/node_modules/.bin/node
if [ ! -x "$node" ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "Installing packages (npm ci) ..."
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || exit 1
fi
# Without a build everything runs all the same, only not as quickly.
[ ! -d node_modules/esbuild ] || "$node" scripts/build.ts || echo "The build has failed: the sources are run as they are." >&2
