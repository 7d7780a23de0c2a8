#!/bin/bash
# Keeps the stand-in's listener alive, with the exit codes and signals of the official program's wrapper.
#
#   listener ends with 0      -> 0, done                     1, 5 -> 0, no retry helps
#                      2      -> once more after 5 s         3, 4 -> once more when the update is finished
#                      7      -> 7, if ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1
#
# With RUNNER_MANUALLY_TRAP_SIG, SIGINT and SIGTERM reach the listener as SIGINT and this ends with 130 or 143. Without
# it nothing is forwarded: as process 1 it ignores SIGTERM, as the kernel has it for process 1.

dir="$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)" || exit 1

if [[ $EUID -eq 0 && -z "$RUNNER_ALLOW_RUNASROOT" ]]; then
    echo "Must not run interactively with sudo"
    echo "Exiting runner..."
    exit 1
fi

# Seconds before a listener that may be tried again is started again, and for an update to finish.
retry_s=5
update_s=30

launch() {
    "$dir/bin/Runner.Listener" run "$@"
    local code=$?
    case $code in
        0) echo "Runner listener exit with 0 return code, stop the service, no retry needed." ;;
        1) echo "Runner listener exit with terminated error, stop the service, no retry needed." ;;
        2)
            echo "Runner listener exit with retryable error, re-launch runner in $retry_s seconds."
            sleep "$retry_s"
            exit 2
            ;;
        3 | 4)
            echo "Runner listener exit because of updating, re-launch runner after successful update"
            for ((n = 0; n < update_s; n++)); do
                if [[ -f "$dir/update.finished" ]]; then
                    echo "Update finished successfully."
                    rm -f "$dir/update.finished"
                    break
                fi
                sleep 1
            done
            exit 2
            ;;
        5) echo "Runner listener exit with Session Conflict error, stop the service, no retry needed." ;;
        7)
            if [[ "$ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE" == "1" ]]; then
                echo "Runner listener exit with deprecated version exit code: $code."
                exit 7
            fi
            echo "Exiting with unknown error code: $code"
            ;;
        *) echo "Exiting with unknown error code: $code" ;;
    esac
    exit 0
}

signalled=0
child=""

forward() {
    signalled=$1
    [[ -n "$child" ]] && kill -INT -- "-$child" 2>/dev/null
}

if [[ -n "$RUNNER_MANUALLY_TRAP_SIG" ]]; then
    # Job control gives the listener a process group of its own, which the signal is sent to.
    set -m
    trap 'forward 130' INT
    trap 'forward 143' TERM
fi

while :; do
    if [[ -n "$RUNNER_MANUALLY_TRAP_SIG" ]]; then
        (launch "$@") &
        child=$!
        wait "$child"
        code=$?
        if [[ $signalled -ne 0 ]]; then
            # A trap ends `wait` early: the listener still has its job to end.
            while kill -0 "$child" 2>/dev/null; do wait "$child"; done
            echo "Exiting runner..."
            exit "$signalled"
        fi
    else
        (launch "$@")
        code=$?
    fi
    if [[ $code -eq 2 ]]; then
        echo "Restarting runner..."
    else
        echo "Exiting runner..."
        exit "$code"
    fi
done
