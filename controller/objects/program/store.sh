# shellcheck shell=bash
# For a head that keeps what it knows in a store. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

# Whether Ray need try to use its store. Its own Python goes before what the user's folder and variables bring.
_ro_look_at_store() {
  local python
  python=$(command -v python3 || command -v python) || return 0
  "$python" -I -c "${_ro_store[@]}"
  case $? in 78 | 143) return 1 ;; esac
}
