# shellcheck shell=bash
# What a Ray container does when it is told to end. Part of the program in entrypoint.sh, which sets what is used here.
# shellcheck disable=SC2034,SC2154

# On termination, tell Ray, which ends its own processes in good order, and wait until it has gone.
ray_operator_stopping=
ray_operator_node=
ray_operator_stop() {
  trap "" TERM INT
  ray_operator_stopping=1
  [ -n "$ray_operator_node" ] || ray_operator_end 143
  # Without that file in /proc, every process of the container is told.
  [ -e "/proc/$$/task/$$/children" ] || kill -TERM 0
  ray_operator_tell "$ray_operator_node"
  kill -TERM "$ray_operator_node" 2>/dev/null
  if ray_operator_sets_up; then
    # A signal that comes as a shell starts a program is heard when that has ended. Ray hears its signal once.
    { while sleep 1; do ray_operator_tell "$ray_operator_node"; done 2>/dev/null >/dev/null & } 2>/dev/null
    ray_operator_hastening=$!
  elif [ -n "$ray_operator_head_file" ]; then
    { ray_operator_hasten 2>&3 3>&- >/dev/null & } 3>&2 2>/dev/null
    ray_operator_hastening=$!
  fi
}

# Whether the commands have not come to Ray's start.
ray_operator_sets_up() {
  local noted
  [ -n "$ray_operator_progress" ] || return 1
  noted=$(ray_operator_last_note)
  [ "$noted" != end ] && [ "${noted:--1}" -lt "${#ray_operator_setup[@]}" ]
}

# Ray lets what runs here finish. It would wait as long where nothing comes of it: for a head that is gone, or for a
# placement group in which nothing runs.
ray_operator_hastening=
ray_operator_hasten() {
  local raylet busy quiet=0 alone=0
  while [ "$quiet" -lt 10 ] && [ "$alone" -lt 3 ]; do
    sleep 0.5
    raylet='' busy=''
    ray_operator_look $$
    if [ -z "$raylet" ] || [ -n "$busy" ]; then quiet=0; else quiet=$((quiet + 1)); fi
    if [ -z "$raylet" ] || ray_operator_head_answers; then alone=0; else alone=$((alone + 1)); fi
  done
  if [ "$alone" -lt 3 ]; then
    ray_operator_say "nothing runs here any more, ending Ray"
    kill -TERM "$raylet" 2>/dev/null
    for _ in 1 2 3 4; do [ ! -e "/proc/$raylet" ] || sleep 0.5; done
  else
    ray_operator_say "the head does not answer, ending Ray"
  fi
  ray_operator_kill "$ray_operator_node"
}

# Find the raylet among a process and those that it has started, and whether it has a child that may be at work. Programs
# rename themselves: what is not known to be idle is busy.
ray_operator_look() {
  local title='' child children
  { IFS= read -r -d '' title <"/proc/$1/cmdline"; } 2>/dev/null
  case $title in
    */raylet/raylet) raylet=$1 ;;
    ray::IDLE* | ray::SPILL_* | ray::RESTORE_* | ray::DELETE_* | ray::DashboardAgent | ray::RuntimeEnvAgent | '') ;;
    *) [ -z "$raylet" ] || [ "${2-}" != "$raylet" ] || busy=1 ;;
  esac
  children=$(cat "/proc/$1/task/"*/children 2>/dev/null)
  for child in $children; do ray_operator_look "$child" "$1"; done
}

ray_operator_kill() {
  local child children
  children=$(cat "/proc/$1/task/"*/children 2>/dev/null)
  for child in $children; do ray_operator_kill "$child"; done
  kill -KILL "$1" 2>/dev/null
}

ray_operator_head_answers() {
  # Where a head comes back, Ray waits for it.
  [ -z "${RAY_gcs_rpc_server_reconnect_timeout_s-}" ] || return 0
  timeout 5 /bin/bash -c "exec 3<>/dev/tcp/$(cat "$ray_operator_head_file")/$ray_operator_port" 2>/dev/null
  # An image without the program timeout says nothing about the head.
  case $? in 0 | 127) ;; *) return 1 ;; esac
}

# Tell a process to end. Of a shell that was forked off this program, what it waits for is told in its place: it would
# end without its children.
ray_operator_tell() {
  local children child
  children=$(cat "/proc/$1/task/$1/children" 2>/dev/null)
  if [ -n "$children" ] && [ "$(ray_operator_program "$1")" = "$(ray_operator_program $$)" ]; then
    for child in $children; do ray_operator_tell "$child"; done
  else
    kill -TERM "$1" 2>/dev/null
  fi
}

ray_operator_program() { { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null; }
