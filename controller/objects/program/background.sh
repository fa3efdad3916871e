# shellcheck shell=bash
# For start commands that leave Ray in the background. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

# Wait for what the last command has left in the background. The exit code is that of one that failed.
_ro_wait() {
  local job code=0 jobs
  # The last one may have ended already: then it is no job any more, and its exit code is still known.
  jobs=" $(jobs -p | tr '\n' ' ')"
  case $jobs in *" ${!-} "*) ;; *) jobs="$jobs${!-} " ;; esac
  for job in $jobs; do
    case $_ro_before in
      *" $job "*) ;;
      *) [ "$job" = "$_ro_later_job" ] || _ro_await "$job" || code=$? ;;
    esac
  done
  return "$code"
}
