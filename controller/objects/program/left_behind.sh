# shellcheck shell=bash
# For start commands that leave Ray behind, as a daemon. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

# Stay as long as the Ray does that a command has left behind. Whoever starts it again has ten seconds for that.
_ro_follow() {
  local raylet='' gone=0
  trap _ro_stopping+=1 TERM INT
  while [ -z "$_ro_stopping" ] && [ "$gone" -lt 10 ]; do
    sleep 1 &
    wait $!
    if [ -n "$raylet" ] && [ -e "/proc/$raylet" ]; then gone=0; continue; fi
    [ -z "$raylet" ] || gone=$((gone + 1))
    raylet=$(_ro_left_behind || echo "$raylet")
  done
  if [ -z "$_ro_stopping" ]; then
    _ro_say "Ray has ended"
    exit 1
  fi
  raylet=$(_ro_left_behind) || exit 143
  kill -TERM "$raylet" 2>/dev/null
  while [ -e "/proc/$raylet" ]; do sleep 0.2; done
  exit 143
}

# The raylet that was started from here, by the mark in its environment. Other containers of the pod may have one too.
_ro_left_behind() {
  local file process
  while IFS= read -r file; do
    process=${file%/cmdline}
    grep -qszxF "_ro_mark=$_ro_mark" "$process/environ" || continue
    echo "${process#/proc/}"
    return
  done < <(grep -ls '/raylet/rayle[t]' /proc/[0-9]*/cmdline)
  return 1
}

# A start command has left Ray behind: it is for those that follow ray start to fail alone.
_ro_is_left_behind() { [ "$_ro_at" -ge "${#_ro_setup[@]}" ] && _ro_left_behind >/dev/null; }
