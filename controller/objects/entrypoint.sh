# shellcheck shell=bash
# The program of a Ray container. What is put before it sets:
#   ray_operator_setup, _start, _later   commands: before Ray; the last of start is Ray; once Ray is up
#   ray_operator_head_file, _port, _limit  a worker's: where the head's address appears, the head's port, how many
#                                          seconds to wait
#   ray_operator_up      a command that succeeds once Ray is up
#   ray_operator_files   where Ray's output goes, to be shown
#   ray_operator_mode    foreground, or what Ray is in: background, of its own command; daemon, left behind by a command
#   ray_operator_store   a head's: a program of Python that looks at its store before Ray does, and its arguments
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

# Tell the shell that waits how far the commands are: the number of one that begins, or "end" once its end is dealt with.
# Only this is left of a shell that a command replaces (exec), or whose trap on EXIT it replaces.
ray_operator_progress=
ray_operator_note() { [ -z "$ray_operator_progress" ] || echo "$1" >&"$ray_operator_progress"; }

# The last of what was told; nothing where nothing was since the last look.
ray_operator_last_note() {
  local noted=
  while read -r -t 0 -u "$ray_operator_progress" && read -r -u "$ray_operator_progress" noted; do :; done
  echo "$noted"
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
      trap ray_operator_stopping+=1 TERM INT
    fi
    if [ "$ray_operator_at" -eq "${#ray_operator_setup[@]}" ] && ! ray_operator_look_at_store; then
      ray_operator_note end
      trap - EXIT
      exit 1
    fi
    ray_operator_before=" $(jobs -p | tr '\n' ' ')"
    ray_operator_note "$ray_operator_at"
    eval "$(ray_operator_command)"
    ray_operator_ran "$?"
  done
  trap - EXIT
  ray_operator_note end
  [ "$ray_operator_mode" = background ] || ray_operator_drop_later
  case $ray_operator_mode in
    background)
      ray_operator_wait
      ray_operator_code=$?
      ray_operator_drop_later
      exit "$ray_operator_code"
      ;;
    daemon) ray_operator_follow ;;
  esac
}

# Stay as long as the Ray does that a command has left behind. Whoever starts it again has ten seconds for that.
ray_operator_follow() {
  local raylet='' gone=0
  trap ray_operator_stopping+=1 TERM INT
  while [ -z "$ray_operator_stopping" ] && [ "$gone" -lt 10 ]; do
    sleep 1 &
    wait $!
    if [ -n "$raylet" ] && [ -e "/proc/$raylet" ]; then gone=0; continue; fi
    [ -z "$raylet" ] || gone=$((gone + 1))
    raylet=$(ray_operator_left_behind || echo "$raylet")
  done
  if [ -z "$ray_operator_stopping" ]; then
    ray_operator_say "Ray has ended"
    exit 1
  fi
  raylet=$(ray_operator_left_behind) || exit 143
  kill -TERM "$raylet" 2>/dev/null
  while [ -e "/proc/$raylet" ]; do sleep 0.2; done
  exit 143
}

# The raylet that was started from here, by the mark in its environment. Other containers of the pod may have one too.
ray_operator_left_behind() {
  local file process
  while IFS= read -r file; do
    process=${file%/cmdline}
    grep -qszxF "ray_operator_mark=$ray_operator_mark" "$process/environ" || continue
    echo "${process#/proc/}"
    return
  done < <(grep -ls '/raylet/rayle[t]' /proc/[0-9]*/cmdline)
  return 1
}

# Whether Ray need try to use its store. Its own Python goes before what the user's folder and variables bring.
ray_operator_look_at_store() {
  local python
  [ "${#ray_operator_store[@]}" -gt 0 ] || return 0
  python=$(command -v python3 || command -v python) || return 0
  "$python" -I -c "${ray_operator_store[@]}"
  case $? in 78 | 143) return 1 ;; esac
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
  # Each command begins with the shell's own options, as if it had a shell of its own.
  set +eu +o pipefail
  [ "$1" -ne 0 ] || [ -n "$ray_operator_stopping" ] || return 0
  if [ -z "$ray_operator_stopping" ] && ray_operator_is_left_behind; then
    ray_operator_say "$(ray_operator_named) failed with exit code $1, Ray goes on: $(ray_operator_command)"
    return 0
  fi
  trap - EXIT
  ray_operator_drop_later
  ray_operator_note end
  ray_operator_failed "$1"
  exit "$1"
}

ray_operator_failed() {
  local command
  [ -z "$ray_operator_stopping" ] || return 0
  command=$(ray_operator_command)
  ray_operator_say "$(ray_operator_named) failed with exit code $1: ${command//ray_operator_later && /}"
}

# A start command has left Ray behind: it is for those that follow ray start to fail alone.
ray_operator_is_left_behind() {
  [ "$ray_operator_mode" = daemon ] && [ "$ray_operator_at" -ge "${#ray_operator_setup[@]}" ] \
    && ray_operator_left_behind >/dev/null
}

ray_operator_exited() {
  trap - EXIT
  ray_operator_ran "$1"
  # A shell ends once: a copy of it goes on with the next command, with all that was set so far. A signal is for that.
  trap ray_operator_stopping+=1 TERM INT
  (ray_operator_from $((ray_operator_at + 1)))
  exit "$?"
}

# Wait for what the last command has left in the background. The exit code is that of one that failed.
ray_operator_wait() {
  local job code=0 jobs
  # The last one may have ended already: then it is no job any more, and its exit code is still known.
  jobs=" $(jobs -p | tr '\n' ' ')"
  case $jobs in *" ${!-} "*) ;; *) jobs="$jobs${!-} " ;; esac
  for job in $jobs; do
    case $ray_operator_before in
      *" $job "*) ;;
      *) [ "$job" = "$ray_operator_later_job" ] || ray_operator_await "$job" || code=$? ;;
    esac
  done
  return "$code"
}

# The exit code of a process. A signal ends a wait, not the process.
ray_operator_await() {
  local code before
  while :; do
    before=$ray_operator_stopping
    wait "$1"
    code=$?
    [ "$before" != "$ray_operator_stopping" ] || return "$code"
  done
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
  set +eu +o pipefail
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
  export RAY_HEAD_IP RAY_HEAD_HOST="$address"
  ray_operator_say "the head is $address, waiting for its port $ray_operator_port"
  until (exec 3<>"/dev/tcp/$address/$ray_operator_port") 2>/dev/null; do
    [ $SECONDS -lt $end ] || { ray_operator_say "no answer after $ray_operator_limit s, giving up"; exit 1; }
    sleep 0.2
  done
  ray_operator_say "the head answers"
}

ray_operator_run() {
  [ -z "$ray_operator_head_file" ] || ray_operator_wait_for_head
  ray_operator_from "$ray_operator_at"
}

# Run the commands from number ray_operator_at on in a shell of their own, until it ends.
ray_operator_run_node() {
  # An interactive shell prints the number of what it puts in the background, unless its own errors go nowhere.
  { ray_operator_run 2>&3 3>&- & } 3>&2 2>/dev/null
  ray_operator_node=$!
  ray_operator_await "$ray_operator_node"
}

# Whether commands are left because one of them ended their shell, and well. A failure that nobody has named is said.
ray_operator_goes_on() {
  local noted
  [ -n "$ray_operator_progress" ] || return 1
  noted=$(ray_operator_last_note)
  [ "${noted:-end}" != end ] && [ -z "$ray_operator_stopping" ] || return 1
  ray_operator_at=$noted
  if [ "$1" -ne 0 ]; then
    ray_operator_failed "$1"
    return 1
  fi
  ray_operator_at=$((noted + 1))
  [ "$ray_operator_at" -lt $((${#ray_operator_setup[@]} + ${#ray_operator_start[@]})) ]
}

# In a pod with IPv6 alone, 0.0.0.0 is nobody's address. A dashboard listens on all there are without one, Serve on ::.
ray_operator_listen_on_ipv6() {
  local routes list at
  grep -qsv -e '^fe80' -e ' lo$' /proc/net/if_inet6 && mapfile -t routes </proc/net/route || return 0
  # The first line is a headline.
  [ "${#routes[@]}" -le 1 ] || return 0
  for list in ray_operator_setup ray_operator_start ray_operator_later; do
    local -n commands=$list
    for at in "${!commands[@]}"; do
      commands[at]=$(printf %s "${commands[at]}" | sed -E \
        -e "s/(--dashboard-host)(=|[[:space:]]+)([\"']?)0\.0\.0\.0\b/\1=\3/g" \
        -e "s/(--http-host(=|[[:space:]]+)[\"']?)0\.0\.0\.0\b/\1::/g")
    done
  done
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
  local shown='' showing watching code
  # Login files may have chosen to end at the first error.
  set +eu
  ray_operator_join_paths
  { ray_operator_listen_on_ipv6; } 2>/dev/null
  trap ray_operator_stop TERM INT
  # A pipe, for which no directory has to be writable.
  { exec {ray_operator_progress}<> <(:); } 2>/dev/null || ray_operator_progress=
  [ "$ray_operator_mode" != daemon ] || export ray_operator_mark="$$.$RANDOM$RANDOM"
  { ray_operator_tell_what_is_missing 2>&3 3>&- & } 3>&2 2>/dev/null
  watching=$!
  if [ "${#ray_operator_files[@]}" -gt 0 ]; then
    # Configurations of Ray 1.7 to 1.13 send Ray's output to a file, and have the container show it by a command that
    # is replaced here. It is shown until Ray has ended, to its last line.
    { sleep infinity & } 2>/dev/null
    showing=$!
    { tail --pid="$showing" --sleep-interval=0.2 --quiet --lines=+1 --follow=name --retry "${ray_operator_files[@]}" & } 2>/dev/null
    shown=$!
  fi
  ray_operator_at=0
  ray_operator_run_node
  code=$?
  while ray_operator_goes_on "$code"; do
    ray_operator_run_node
    code=$?
  done
  kill "$watching" 2>/dev/null
  [ -z "$ray_operator_hastening" ] || kill -KILL "$ray_operator_hastening" 2>/dev/null
  if [ -n "$shown" ]; then
    kill "$showing"
    wait "$shown"
  fi
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
