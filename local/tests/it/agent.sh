#!/bin/bash
# A stand-in for the agent: its part of the contract about the task's folder, and nothing else. What it does is in its
# runner's name. $1 is the bench's folder: one line there for each agent that has begun.
task="$(basename "$SELF_RUNNERS_TASK_DIR")"
exec 9>"$SELF_RUNNERS_TASK_DIR/lock"
flock --nonblock 9 || exit 75
stat="$(<"/proc/$$/stat")"
read -r -a fields <<<"${stat##*) }"
echo "$$ ${fields[19]}" >"$SELF_RUNNERS_TASK_DIR/started.$$"
ln "$SELF_RUNNERS_TASK_DIR/started.$$" "$SELF_RUNNERS_TASK_DIR/started" 2>/dev/null || exit 75
rm "$SELF_RUNNERS_TASK_DIR/started.$$"

case "$SELF_RUNNERS_RUNNER" in
*stubborn*) trap '' TERM ;;
*) trap 'exit 143' TERM ;;
esac
case "$SELF_RUNNERS_RUNNER" in
*orphans*)
  setsid sleep 1000 9>&- &
  echo $! >>"$1/orphans"
  (env -u HOME -u TMPDIR sleep 1000 9>&- & echo $! >>"$1/orphans")
  ;;
*env*) env >"$1/env" ;;
esac

mkfifo "$1/$task.end"
echo "agent of $task"
echo begun >>"$1/$task.begun"
# The wait is what a trapped signal interrupts.
cat "$1/$task.end" 9>&- >"$1/$task.code" &
wait $!
exit "$(<"$1/$task.code")"
