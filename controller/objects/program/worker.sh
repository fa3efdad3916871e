# shellcheck shell=bash
# What a worker does about its head. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

_ro_wait_for_head() {
  local address end=$((SECONDS + _ro_limit))
  [ -s "$_ro_head_file" ] || _ro_say "waiting for the head's address"
  until [ -s "$_ro_head_file" ]; do
    [ $SECONDS -lt $end ] || { _ro_say "no head address after $_ro_limit s, giving up"; exit 1; }
    sleep 0.1
  done
  address="$(cat "$_ro_head_file")"
  # An address of IPv6 has brackets before a port.
  case $address in
    *:*) RAY_HEAD_IP="[$address]" ;;
    *) RAY_HEAD_IP="$address" ;;
  esac
  export RAY_HEAD_IP RAY_HEAD_HOST="$address"
  _ro_say "the head is $address, waiting for its port $_ro_port"
  until (exec 3<>"/dev/tcp/$address/$_ro_port") 2>/dev/null; do
    [ $SECONDS -lt $end ] || { _ro_say "no answer after $_ro_limit s, giving up"; exit 1; }
    sleep 0.2
  done
  _ro_say "the head answers"
}

# Ray lets what runs here finish. It would wait as long where nothing comes of it: for a head that is gone, or for a
# placement group in which nothing runs.
_ro_hasten() {
  local raylet busy quiet=0 alone=0
  while [ "$quiet" -lt 10 ] && [ "$alone" -lt 3 ]; do
    sleep 0.5
    raylet='' busy=''
    _ro_look $$
    if [ -z "$raylet" ] || [ -n "$busy" ]; then quiet=0; else quiet=$((quiet + 1)); fi
    if [ -z "$raylet" ] || _ro_head_answers; then alone=0; else alone=$((alone + 1)); fi
  done
  if [ "$alone" -lt 3 ]; then
    _ro_say "nothing runs here any more, ending Ray"
    kill -TERM "$raylet" 2>/dev/null
    for _ in 1 2 3 4; do [ ! -e "/proc/$raylet" ] || sleep 0.5; done
  else
    _ro_say "the head does not answer, ending Ray"
  fi
  _ro_kill "$_ro_node"
}

# Find the raylet among a process and those that it has started, and whether it has a child that may be at work. Programs
# rename themselves: what is not known to be idle is busy.
_ro_look() {
  local title='' child children
  { IFS= read -r -d '' title <"/proc/$1/cmdline"; } 2>/dev/null
  case $title in
    */raylet/raylet) raylet=$1 ;;
    ray::IDLE* | ray::SPILL_* | ray::RESTORE_* | ray::DELETE_* | ray::DashboardAgent | ray::RuntimeEnvAgent | '') ;;
    *) [ -z "$raylet" ] || [ "${2-}" != "$raylet" ] || busy=1 ;;
  esac
  children=$(cat "/proc/$1/task/"*/children 2>/dev/null)
  for child in $children; do _ro_look "$child" "$1"; done
}

_ro_kill() {
  local child children
  children=$(cat "/proc/$1/task/"*/children 2>/dev/null)
  for child in $children; do _ro_kill "$child"; done
  kill -KILL "$1" 2>/dev/null
}

_ro_head_answers() {
  # Where a head comes back, Ray waits for it.
  [ -z "${RAY_gcs_rpc_server_reconnect_timeout_s-}" ] || return 0
  timeout 5 /bin/bash -c "exec 3<>/dev/tcp/$(cat "$_ro_head_file")/$_ro_port" 2>/dev/null
  # An image without the program timeout says nothing about the head.
  case $? in 0 | 127) ;; *) return 1 ;; esac
}
