#!/bin/bash
# A stand-in agent in a container: tells the bench that it began and how it is confined, then does as it is told.
exec 3<>"/dev/tcp/$BENCH_HOST/$BENCH_PORT" || exit 9
if [[ $SELF_RUNNERS_RUNNER == *stubborn* ]]; then trap '' TERM; else trap 'exit 143' TERM; fi

status() {
    while read -r key value _; do [[ $key == "$1:" ]] && echo "$value"; done </proc/self/status
}
limit() {
    local file
    for file in "$@"; do [[ -r $file ]] && echo "$(<"$file")" && return; done
}
memory="$(limit /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes)"
pids="$(limit /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max)"
cpu="$(limit /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us)"
echo "$SELF_RUNNERS_RUNNER.$SELF_RUNNERS_ATTEMPT began"
echo "$SELF_RUNNERS_RUNNER.$SELF_RUNNERS_ATTEMPT memory=$memory pids=$pids cpu=${cpu%% *} caps=$(status CapBnd) no_new_privs=$(status NoNewPrivs)" >&3

while :; do
    IFS= read -r -t 1 word <&3
    code=$?
    if [[ $word == eat ]]; then
        food=x
        while :; do food+=$food; done
    elif [[ -n $word ]]; then
        exit "$word"
    elif ((code == 1)); then
        exit 8
    fi
done
