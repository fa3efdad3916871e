# shellcheck shell=bash
# The program of a Ray container. What is put before it sets:
#   _ro_setup, _start, _later     commands: before Ray; the last of start is Ray; once Ray is up
#   _ro_head_file, _port, _limit  a worker's: where the head's address appears, the head's port, how many seconds to wait
#   _ro_up           a command that succeeds once Ray is up
#   _ro_files        where Ray's output goes, to be shown
#   _ro_mode         foreground, or what Ray is in: background, of its own command; daemon, left behind by a command
#   _ro_any_address  not empty where commands name 0.0.0.0
#   _ro_store        a head's: a program of Python that looks at its store before Ray does, and its arguments
#   _ro_says         what to say once Ray is up: pairs of a test and a text
# Functions that are not here are in the other files, which are put before this one where they are needed.
# Names of functions and variables start with _ro_, for ray-operator: commands of the user's must keep their own meaning.
# They are short because each pod carries them.
# shellcheck disable=SC2154

# Commands run as in a login shell that is interactive: ~/.bashrc and what it calls mostly do nothing in another one.
# Such a shell complains when it has no terminal, before anything is read; that goes nowhere.
case $- in
  *i*) ;;
  *) exec /bin/bash --noprofile -li -c "$BASH_EXECUTION_STRING" 3>&2 2>/dev/null ;;
esac
exec 2>&3 3>&-
# No job control: background jobs are no news, and belong to the container's process group.
set +m
HISTFILE=

_ro_say() { echo "ray-operator: $*" >&2; }

# End with a code, without what a login shell prints and runs at its end.
_ro_end() { exec /bin/bash -c "exit $1"; }

# /etc/profile forgets what the image has on its path: what login files have added goes before that.
_ro_join_paths() {
  local folder ahead=
  while IFS= read -r -d : folder; do
    case ":$_ro_path:" in
      *":$folder:"*) ;;
      *) ahead="$ahead$folder:" ;;
    esac
  done <<<"$PATH:"
  PATH="$ahead$_ro_path"
}

# Tell the shell that waits how far the commands are: the number of one that begins, or "end" once its end is dealt with.
# Only this is left of a shell that a command replaces (exec), or whose trap on EXIT it replaces.
_ro_progress=
_ro_note() { [ -z "$_ro_progress" ] || echo "$1" >&"$_ro_progress"; }

# The last of what was told; nothing where nothing was since the last look.
_ro_last_note() {
  local noted=
  while read -r -t 0 -u "$_ro_progress" && read -r -u "$_ro_progress" noted; do :; done
  echo "$noted"
}

# Run the commands from number $1 on.
_ro_from() {
  # A command may call exit: that ends the command alone.
  trap '_ro_exited "$?"' EXIT
  trap 'trap - EXIT; exit 143' TERM INT
  _ro_at=$1
  # Commands have no parameters.
  set --
  for (( ; _ro_at < ${#_ro_setup[@]} + ${#_ro_start[@]}; _ro_at++)); do
    if [ "$_ro_at" -ge "${#_ro_setup[@]}" ]; then
      # From here on a signal is Ray's to handle; this shell stays until Ray has gone.
      trap _ro_stopping+=1 TERM INT
    fi
    if [ "$_ro_at" -eq "${#_ro_setup[@]}" ] && [ "${#_ro_store[@]}" -gt 0 ] && ! _ro_look_at_store; then
      _ro_note end
      trap - EXIT
      exit 1
    fi
    _ro_before=" $(jobs -p | tr '\n' ' ')"
    _ro_note "$_ro_at"
    eval "$(_ro_command)"
    _ro_ran "$?"
  done
  trap - EXIT
  _ro_note end
  [ "$_ro_mode" = background ] || _ro_drop_later
  case $_ro_mode in
    background)
      _ro_wait
      _ro_code=$?
      _ro_drop_later
      exit "$_ro_code"
      ;;
    daemon) _ro_follow ;;
  esac
}

_ro_command() {
  if [ "$_ro_at" -lt "${#_ro_setup[@]}" ]; then
    printf %s "${_ro_setup[_ro_at]}"
  else
    printf %s "${_ro_start[_ro_at - ${#_ro_setup[@]}]}"
  fi
}

_ro_named() {
  if [ "$_ro_at" -lt "${#_ro_setup[@]}" ]; then
    echo "setup command $((_ro_at + 1))"
  else
    echo "start command $((_ro_at - ${#_ro_setup[@]} + 1))"
  fi
}

# What follows from a command's exit code: go on, or end.
_ro_ran() {
  # Each command begins with the shell's own options, as if it had a shell of its own.
  set +eu +o pipefail
  [ "$1" -ne 0 ] || [ -n "$_ro_stopping" ] || return 0
  if [ -z "$_ro_stopping" ] && [ "$_ro_mode" = daemon ] && _ro_is_left_behind; then
    _ro_say "$(_ro_named) failed with exit code $1, Ray goes on: $(_ro_command)"
    return 0
  fi
  trap - EXIT
  _ro_drop_later
  _ro_note end
  _ro_failed "$1"
  exit "$1"
}

_ro_failed() {
  local command
  [ -z "$_ro_stopping" ] || return 0
  command=$(_ro_command)
  _ro_say "$(_ro_named) failed with exit code $1: ${command//_ro_later && /}"
}

_ro_exited() {
  trap - EXIT
  _ro_ran "$1"
  # A shell ends once: a copy of it goes on with the next command, with all that was set so far. A signal is for that.
  trap _ro_stopping+=1 TERM INT
  (_ro_from $((_ro_at + 1)))
  exit "$?"
}

# The exit code of a process. A signal ends a wait, not the process.
_ro_await() {
  local code before
  while :; do
    before=$_ro_stopping
    wait "$1"
    code=$?
    [ "$before" != "$_ro_stopping" ] || return "$code"
  done
}

# Ray is over: nothing follows.
_ro_later_job=
_ro_drop_later() { [ -z "$_ro_later_job" ] || kill "$_ro_later_job" 2>/dev/null; }

_ro_run() {
  [ -z "$_ro_head_file" ] || _ro_wait_for_head
  _ro_from "$_ro_at"
}

# Run the commands from number _ro_at on in a shell of their own, until it ends.
_ro_run_node() {
  # An interactive shell prints the number of what it puts in the background, unless its own errors go nowhere.
  { _ro_run 2>&3 3>&- & } 3>&2 2>/dev/null
  _ro_node=$!
  _ro_await "$_ro_node"
}

# Whether commands are left because one of them ended their shell, and well. A failure that nobody has named is said.
_ro_goes_on() {
  local noted
  [ -n "$_ro_progress" ] || return 1
  noted=$(_ro_last_note)
  [ "${noted:-end}" != end ] && [ -z "$_ro_stopping" ] || return 1
  _ro_at=$noted
  if [ "$1" -ne 0 ]; then
    _ro_failed "$1"
    return 1
  fi
  _ro_at=$((noted + 1))
  [ "$_ro_at" -lt $((${#_ro_setup[@]} + ${#_ro_start[@]})) ]
}

_ro_main() {
  local shown='' showing watching='' code
  # Login files may have chosen to end at the first error.
  set +eu
  _ro_join_paths
  [ -z "$_ro_any_address" ] || { _ro_listen_on_ipv6; } 2>/dev/null
  trap _ro_stop TERM INT
  # A pipe, for which no directory has to be writable.
  { exec {_ro_progress}<> <(:); } 2>/dev/null || _ro_progress=
  [ "$_ro_mode" != daemon ] || export _ro_mark="$$.$RANDOM$RANDOM"
  if [ "${#_ro_says[@]}" -gt 0 ]; then
    { _ro_tell_what_is_missing 2>&3 3>&- & } 3>&2 2>/dev/null
    watching=$!
  fi
  if [ "${#_ro_files[@]}" -gt 0 ]; then
    # Configurations of Ray 1.7 to 1.13 send Ray's output to a file, and have the container show it by a command that
    # is replaced here. It is shown until Ray has ended, to its last line.
    { sleep infinity & } 2>/dev/null
    showing=$!
    { tail --pid="$showing" --sleep-interval=0.2 --quiet --lines=+1 --follow=name --retry "${_ro_files[@]}" & } 2>/dev/null
    shown=$!
  fi
  _ro_at=0
  _ro_run_node
  code=$?
  while _ro_goes_on "$code"; do
    _ro_run_node
    code=$?
  done
  [ -z "$watching" ] || kill "$watching" 2>/dev/null
  [ -z "$_ro_hastening" ] || kill -KILL "$_ro_hastening" 2>/dev/null
  if [ -n "$shown" ]; then
    kill "$showing"
    wait "$shown"
  fi
  _ro_end "$code"
}

trap _ro_stop TERM INT
# A login file that calls exit ends itself alone.
trap 'trap - EXIT; _ro_main' EXIT
_ro_path=$PATH
# The order in which a login shell reads them, outside of any function: what they declare is for all that follows. The
# legacy operator read ~/.bashrc after these.
# shellcheck disable=SC1090,SC1091
{
  [ ! -r /etc/profile ] || . /etc/profile
  for _ro_file in ~/.bash_profile ~/.bash_login ~/.profile; do
    [ ! -r "$_ro_file" ] || { . "$_ro_file"; break; }
  done
  [ ! -r ~/.bashrc ] || . ~/.bashrc
}
trap - EXIT
_ro_main
