#!/bin/sh
# Installs other people's tools that read our contracts in tests/strangers, at the locked versions.
# Python's have a folder of their own, .venv-strangers: their pins and ours need not agree. Node's go to .cache/strangers;
# without Node those tests are skipped and say why. Does nothing when all is there already.
set -eu

say() { printf '%s\n' "$*" >&2; }
here=tests/strangers
into=.cache/strangers

sh deploy/bootstrap.sh .venv-strangers requirements-strangers.lock

if ! command -v npm >/dev/null 2>&1 || ! node -e 'process.exit(+(parseInt(process.versions.node) < 20))'; then
    say "Tests with TypeScript and AsyncAPI's parser are skipped: they need Node 20 or newer, with npm."
    exit 0
fi
cmp -s "$here/package-lock.json" "$into/installed.json" && exit 0
say "Installing the packages of $here/package-lock.json into $into (only when that file changes)."
rm -rf "$into"
mkdir -p "$into"
cp "$here/package.json" "$here/package-lock.json" "$into"
# None of them needs its install script to run: nothing is built, and no browser or toolchain is downloaded.
if ! npm ci --prefix "$into" --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2; then
    say "The packages could not be installed, for the reason above (is the network reachable?). Run make again."
    exit 1
fi
cp "$into/package-lock.json" "$into/installed.json"
