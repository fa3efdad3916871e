# shellcheck shell=bash
# The program of a Ray container. What is put before it sets:
#   ray_operator_setup, _start, _later   commands: before Ray; the last of start is Ray; once Ray is up
#   ray_operator_head_file, _port, _limit  a worker's: where the head's address appears, the head's port, how many
#                                          seconds to wait
#   ray_operator_up      a command that succeeds once Ray is up
#   ray_operator_files   where Ray's output goes, to be shown
#   ray_operator_mode    foreground, or what Ray is in: background, of its own command; daemon, out of sight
#   ray_operator_says    what to say once Ray is up: pairs of a test and a text
# Names of functions and variables start with ray_operator: commands of the user's must keep their own meaning.
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

ray_operator_say() { echo "ray-operator: $*" >&2; }

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
  if [ -n "$ray_operator_head_file" ]; then
    { ray_operator_hasten 2>&3 3>&- >/dev/null & } 3>&2 2>/dev/null
    ray_operator_hastening=$!
  fi
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

# End with a code, without what a login shell prints and runs at its end.
ray_operator_end() { exec /bin/bash -c "exit $1"; }

# /etc/profile forgets what the image has on its path: what login files have added goes before that.
ray_operator_join_paths() {
  local folder ahead=
  while IFS= read -r -d : folder; do
    case ":$ray_operator_path:" in
      *":$folder:"*) ;;
      *) ahead="$ahead$folder:" ;;
    esac
  done <<<"$PATH:"
  PATH="$ahead$ray_operator_path"
}

# Run the commands from number $1 on.
ray_operator_from() {
  # A command may call exit: that ends the command alone.
  trap 'ray_operator_exited "$?"' EXIT
  trap 'trap - EXIT; exit 143' TERM INT
  ray_operator_at=$1
  # Commands have no parameters.
  set --
  for (( ; ray_operator_at < ${#ray_operator_setup[@]} + ${#ray_operator_start[@]}; ray_operator_at++)); do
    if [ "$ray_operator_at" -ge "${#ray_operator_setup[@]}" ]; then
      # From here on a signal is Ray's to handle; this shell stays until Ray has gone.
      trap ray_operator_stopping=1 TERM INT
    fi
    ray_operator_before=" $(jobs -p | tr '\n' ' ')"
    eval "$(ray_operator_command)"
    ray_operator_ran "$?"
  done
  trap - EXIT
  [ "$ray_operator_mode" = background ] || ray_operator_drop_later
  case $ray_operator_mode in
    background)
      # A signal ends only the first wait.
      ray_operator_wait || ray_operator_wait
      ray_operator_code=$?
      ray_operator_drop_later
      exit "$ray_operator_code"
      ;;
    daemon)
      trap 'exit 143' TERM INT
      sleep infinity &
      wait $!
      ;;
  esac
}

ray_operator_command() {
  if [ "$ray_operator_at" -lt "${#ray_operator_setup[@]}" ]; then
    printf %s "${ray_operator_setup[ray_operator_at]}"
  else
    printf %s "${ray_operator_start[ray_operator_at - ${#ray_operator_setup[@]}]}"
  fi
}

ray_operator_named() {
  if [ "$ray_operator_at" -lt "${#ray_operator_setup[@]}" ]; then
    echo "setup command $((ray_operator_at + 1))"
  else
    echo "start command $((ray_operator_at - ${#ray_operator_setup[@]} + 1))"
  fi
}

# What follows from a command's exit code: go on, or end.
ray_operator_ran() {
  [ "$1" -ne 0 ] || [ -n "$ray_operator_stopping" ] || return 0
  trap - EXIT
  ray_operator_drop_later
  [ -n "$ray_operator_stopping" ] || ray_operator_say "$(ray_operator_named) failed with exit code $1: $(ray_operator_command)"
  exit "$1"
}

ray_operator_exited() {
  trap - EXIT
  ray_operator_ran "$1"
  # A shell ends once: a copy of it goes on with the next command, with all that was set so far. A signal is for that.
  trap ray_operator_stopping=1 TERM INT
  (ray_operator_from $((ray_operator_at + 1)))
  exit "$?"
}

# Wait for what the last command has left in the background.
ray_operator_wait() {
  local job code=0
  for job in $(jobs -p); do
    case $ray_operator_before in
      *" $job "*) ;;
      *) [ "$job" = "$ray_operator_later_job" ] || wait "$job" || code=$? ;;
    esac
  done
  return "$code"
}

# Run what follows Ray's start beside Ray, once it is up. A failure is said, and Ray goes on.
ray_operator_later_job=
ray_operator_later() {
  # A loop starts Ray again.
  [ -z "$ray_operator_later_job" ] || return 0
  (
    until eval "$ray_operator_up" >/dev/null 2>&1; do sleep 0.2; done
    ray_operator_after 0
  ) &
  ray_operator_later_job=$!
}

# Ray is over: nothing follows.
ray_operator_drop_later() { [ -z "$ray_operator_later_job" ] || kill "$ray_operator_later_job" 2>/dev/null; }

ray_operator_after() {
  ray_operator_at=$1
  set --
  for (( ; ray_operator_at < ${#ray_operator_later[@]}; ray_operator_at++)); do
    trap 'ray_operator_after_exited "$?"' EXIT
    eval "${ray_operator_later[ray_operator_at]}"
    ray_operator_after_ran "$?"
  done
  trap - EXIT
}

ray_operator_after_ran() {
  # It was told to end, and so was Ray.
  [ "$1" -ne 143 ] || { trap - EXIT; exit 143; }
  [ "$1" -eq 0 ] || ray_operator_say "a command after ray start failed with exit code $1, Ray goes on: ${ray_operator_later[ray_operator_at]}"
}

ray_operator_after_exited() {
  trap - EXIT
  ray_operator_after_ran "$1"
  (ray_operator_after $((ray_operator_at + 1)))
}

ray_operator_wait_for_head() {
  local address end=$((SECONDS + ray_operator_limit))
  [ -s "$ray_operator_head_file" ] || ray_operator_say "waiting for the head's address"
  until [ -s "$ray_operator_head_file" ]; do
    [ $SECONDS -lt $end ] || { ray_operator_say "no head address after $ray_operator_limit s, giving up"; exit 1; }
    sleep 0.1
  done
  address="$(cat "$ray_operator_head_file")"
  # An address of IPv6 has brackets before a port.
  case $address in
    *:*) RAY_HEAD_IP="[$address]" ;;
    *) RAY_HEAD_IP="$address" ;;
  esac
  export RAY_HEAD_IP
  ray_operator_say "the head is $address, waiting for its port $ray_operator_port"
  until (exec 3<>"/dev/tcp/$address/$ray_operator_port") 2>/dev/null; do
    [ $SECONDS -lt $end ] || { ray_operator_say "no answer after $ray_operator_limit s, giving up"; exit 1; }
    sleep 0.2
  done
  ray_operator_say "the head answers"
}

ray_operator_run() {
  [ -z "$ray_operator_head_file" ] || ray_operator_wait_for_head
  ray_operator_from 0
}

# Say what an image lacks, once.
ray_operator_tell_what_is_missing() {
  local at
  [ "${#ray_operator_says[@]}" -gt 0 ] || return 0
  until eval "$ray_operator_up" >/dev/null 2>&1; do sleep 0.5; done
  for ((at = 0; at < ${#ray_operator_says[@]}; at += 2)); do
    ! eval "${ray_operator_says[at]}" >/dev/null 2>&1 || ray_operator_say "${ray_operator_says[at + 1]}"
  done
}

ray_operator_main() {
  local shown='' watching code
  # Login files may have chosen to end at the first error.
  set +eu
  ray_operator_join_paths
  trap ray_operator_stop TERM INT
  # An interactive shell prints the number of what it puts in the background, unless its own errors go nowhere.
  { ray_operator_run 2>&3 3>&- & } 3>&2 2>/dev/null
  ray_operator_node=$!
  { ray_operator_tell_what_is_missing 2>&3 3>&- & } 3>&2 2>/dev/null
  watching=$!
  if [ "${#ray_operator_files[@]}" -gt 0 ]; then
    # Configurations of Ray 1.7 to 1.13 send Ray's output to a file, and have the container show it by a command that
    # is replaced here. It is shown until Ray has ended, to its last line.
    { tail --pid="$ray_operator_node" --sleep-interval=0.2 --quiet --lines=+1 --follow=name --retry "${ray_operator_files[@]}" & } 2>/dev/null
    shown=$!
  fi
  wait "$ray_operator_node"
  code=$?
  # A signal ends the first wait, not the node; there is no second one, see the trap.
  if [ -n "$ray_operator_stopping" ]; then
    wait "$ray_operator_node"
    code=$?
  fi
  kill "$watching" 2>/dev/null
  [ -z "$ray_operator_hastening" ] || kill -KILL "$ray_operator_hastening" 2>/dev/null
  [ -z "$shown" ] || wait "$shown"
  ray_operator_end "$code"
}

trap ray_operator_stop TERM INT
# A login file that calls exit ends itself alone.
trap 'trap - EXIT; ray_operator_main' EXIT
ray_operator_path=$PATH
# The order in which a login shell reads them, outside of any function: what they declare is for all that follows. The
# legacy operator read ~/.bashrc after these.
# shellcheck disable=SC1090,SC1091
{
  [ ! -r /etc/profile ] || . /etc/profile
  for ray_operator_file in ~/.bash_profile ~/.bash_login ~/.profile; do
    [ ! -r "$ray_operator_file" ] || { . "$ray_operator_file"; break; }
  done
  [ ! -r ~/.bashrc ] || . ~/.bashrc
}
trap - EXIT
ray_operator_main
