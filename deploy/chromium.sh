#!/bin/sh
# Install Debian's chromium, which the browser tests drive, if that is possible without asking.
# Never fails: without a browser those tests are skipped and say why.
set -u

say() { printf '%s\n' "$*" >&2; }
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "Browser tests are skipped: there is no chromium here. To run them: sudo apt-get install chromium"
    exit 0
fi
say "Installing chromium for the browser tests (once)."
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-noto-color-emoji; } \
    </dev/null >/dev/null || say "Browser tests are skipped: chromium could not be installed for the reason above."
exit 0
