#!/bin/bash
# Registers the stand-in with a registration token, with the arguments of the official program's `config.sh`.

dir="$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)" || exit 1

if [[ $EUID -eq 0 && -z "$RUNNER_ALLOW_RUNASROOT" ]]; then
    echo "Must not run with sudo"
    exit 1
fi

if [[ "$1" == "remove" ]]; then
    shift
    exec "$dir/bin/Runner.Listener" remove "$@"
fi
exec "$dir/bin/Runner.Listener" configure "$@"
