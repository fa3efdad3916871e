# shellcheck shell=bash
# For commands that name 0.0.0.0. Part of the program in main.sh.
# shellcheck disable=SC2034,SC2154

# In a pod with IPv6 alone, 0.0.0.0 is nobody's address. A dashboard listens on all there are without one, Serve on ::.
_ro_listen_on_ipv6() {
  local routes list at
  grep -qsv -e '^fe80' -e ' lo$' /proc/net/if_inet6 && mapfile -t routes </proc/net/route || return 0
  # The first line is a headline.
  [ "${#routes[@]}" -le 1 ] || return 0
  for list in _ro_setup _ro_start _ro_later; do
    local -n commands=$list
    for at in "${!commands[@]}"; do
      commands[at]=$(printf %s "${commands[at]}" | sed -E \
        -e "s/(--dashboard-host)(=|[[:space:]]+)([\"']?)0\.0\.0\.0\b/\1=\3/g" \
        -e "s/(--http-host(=|[[:space:]]+)[\"']?)0\.0\.0\.0\b/\1::/g")
    done
  done
}
