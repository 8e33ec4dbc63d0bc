#!/bin/sh
# bootstrap.sh VENV LOCK: make VENV hold exactly the packages of LOCK. Does nothing if it does already.
# The copy of LOCK inside VENV is written last: a folder without it is unfinished, and is made again.
set -eu

venv=$1
lock=$2
done_mark=$venv/installed.lock

say() { printf '%s\n' "$*" >&2; }
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if recent "$name"; then
            command -v "$name"
            return
        fi
    done
    found=$("${PYTHON:-python3}" -c 'import platform; print(platform.python_version())' 2>/dev/null) || found=none
    say "Tributary needs Python 3.11 or newer; ${PYTHON:-python3} here is: $found."
    say "Install one, or name one that you have: make run PYTHON=/path/to/python3.12"
    return 1
}

complete_python() {
    has_venv "$1" && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Python's venv module is incomplete here: installing python3-venv."
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -y -qq python3-venv; } </dev/null >&2 || true
        has_venv "$1" && return
        say "It is still incomplete for $1: install the venv package of that very Python, then run make again."
    else
        say "Python's venv module is incomplete here. Install it, then run make again: sudo apt-get install python3-venv"
    fi
    return 1
}

if cmp -s "$lock" "$done_mark" && recent "$venv/bin/python"; then
    exit 0
fi
python=$(find_python)
complete_python "$python"
rm -rf "$venv"
say "Installing the packages of $lock into $venv (only when that file changes; takes about a minute)."
"$python" -m venv "$venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
    --no-compile --require-hashes --requirement "$lock" </dev/null; then
    say "The packages could not be installed for the reason above. Is the network reachable? Then run make again."
    exit 1
fi
# On all cores, which pip does not do. A package may bring a file that cannot be compiled.
"$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 || true
cp "$lock" "$done_mark.part"
mv "$done_mark.part" "$done_mark"
