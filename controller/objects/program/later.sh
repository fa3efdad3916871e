# shellcheck shell=bash
# For commands that follow Ray's start. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

# Run what follows Ray's start beside Ray, once it is up. A failure is said, and Ray goes on.
_ro_later() {
  # A loop starts Ray again.
  [ -z "$_ro_later_job" ] || return 0
  (
    until eval "$_ro_up" >/dev/null 2>&1; do sleep 0.2; done
    _ro_after 0
  ) &
  _ro_later_job=$!
}

_ro_after() {
  _ro_at=$1
  set --
  for (( ; _ro_at < ${#_ro_later[@]}; _ro_at++)); do
    trap '_ro_after_exited "$?"' EXIT
    eval "${_ro_later[_ro_at]}"
    _ro_after_ran "$?"
  done
  trap - EXIT
}

_ro_after_ran() {
  set +eu +o pipefail
  # It was told to end, and so was Ray.
  [ "$1" -ne 143 ] || { trap - EXIT; exit 143; }
  [ "$1" -eq 0 ] || _ro_say "a command after ray start failed with exit code $1, Ray goes on: ${_ro_later[_ro_at]}"
}

_ro_after_exited() {
  trap - EXIT
  _ro_after_ran "$1"
  (_ro_after $((_ro_at + 1)))
}
