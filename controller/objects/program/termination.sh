# shellcheck shell=bash
# What a Ray container does when it is told to end. Part of the program in main.sh, which sets what is used here.
# shellcheck disable=SC2034,SC2154

# On termination, tell Ray, which ends its own processes in good order, and wait until it has gone.
_ro_stopping=
_ro_node=
_ro_hastening=
_ro_stop() {
  trap "" TERM INT
  _ro_stopping=1
  [ -n "$_ro_node" ] || _ro_end 143
  # Without that file in /proc, every process of the container is told.
  [ -e "/proc/$$/task/$$/children" ] || kill -TERM 0
  _ro_tell "$_ro_node"
  kill -TERM "$_ro_node" 2>/dev/null
  if _ro_sets_up; then
    # A signal that comes as a shell starts a program is heard when that has ended. Ray hears its signal once.
    { while sleep 1; do _ro_tell "$_ro_node"; done 2>/dev/null >/dev/null & } 2>/dev/null
    _ro_hastening=$!
  elif [ -n "$_ro_head_file" ]; then
    { _ro_hasten 2>&3 3>&- >/dev/null & } 3>&2 2>/dev/null
    _ro_hastening=$!
  fi
}

# Whether the commands have not come to Ray's start.
_ro_sets_up() {
  local noted
  [ -n "$_ro_progress" ] || return 1
  noted=$(_ro_last_note)
  [ "$noted" != end ] && [ "${noted:--1}" -lt "${#_ro_setup[@]}" ]
}

# Tell a process to end. Of a shell that was forked off this program, what it waits for is told in its place: it would
# end without its children.
_ro_tell() {
  local children child
  children=$(cat "/proc/$1/task/$1/children" 2>/dev/null)
  if [ -n "$children" ] && [ "$(_ro_program "$1")" = "$(_ro_program $$)" ]; then
    for child in $children; do _ro_tell "$child"; done
  else
    kill -TERM "$1" 2>/dev/null
  fi
}

_ro_program() { { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null; }
