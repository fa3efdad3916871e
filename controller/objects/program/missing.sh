# shellcheck shell=bash
# For a head whose image may lack something. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

# Say what an image lacks, once.
_ro_tell_what_is_missing() {
  local at
  until eval "$_ro_up" >/dev/null 2>&1; do sleep 0.5; done
  for ((at = 0; at < ${#_ro_says[@]}; at += 2)); do
    ! eval "${_ro_says[at]}" >/dev/null 2>&1 || _ro_say "${_ro_says[at + 1]}"
  done
}
