#!/bin/sh
# busy.sh COMMAND...: runs COMMAND three times with four busy loops beside it; fails unless it succeeds each time.
set -u

loops=
for _ in 1 2 3 4; do
    sh -c 'while kill -0 "$1" 2>/dev/null; do :; done' busy $$ &
    loops="$loops $!"
done
# shellcheck disable=SC2086 # a list of process ids
trap 'kill $loops 2>/dev/null' EXIT
trap 'exit 130' INT TERM

failed=0
for run in 1 2 3; do
    if "$@"; then
        echo "busy run $run of 3: green"
    else
        echo "busy run $run of 3: red"
        failed=$((failed + 1))
    fi
done
[ "$failed" = 0 ]
