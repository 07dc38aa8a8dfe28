# shellcheck shell=bash
# Configuring and building a preset with little output; sourced by quickstart, run-tests and .ci scripts, which
# have changed into the top of the tree.
#
#   build_preset release [target…]

# In bash, since mawk shows nothing before the pipe ends. On a terminal one line that changes, else a line per
# quarter; what the compiler says stays as it is.
watch_ninja() {
  local line done total shown=0 open=no
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
      done=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
      if [ -t 1 ]; then
        printf '\r  built %d of %d ' "$done" "$total"
        open=yes
      elif [ "$total" -gt 8 ] && [ $((4 * done / total)) -gt "$shown" ]; then
        shown=$((4 * done / total))
        printf '  built %d of %d\n' "$done" "$total"
      fi
    elif [[ $line != 'ninja: no work to do.' && $line != 'ninja: Entering directory'* ]]; then
      if [ "$open" = yes ]; then echo; fi
      open=no
      printf '%s\n' "$line"
    fi
  done
  if [ "$open" = yes ]; then echo; fi
}

configure_preset() {
  local log
  log=$(mktemp)
  if ! cmake --preset "$1" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    printf 'cmake could not configure preset %s.\n' "$1" >&2
    return 1
  fi
  rm -f "$log"
}

build_preset() {
  local preset=$1
  shift
  configure_preset "$preset" || return 1
  NINJA_STATUS='[%f/%t] ' ninja -C "build/$preset" "$@" 2>&1 | watch_ninja
  # The compiler's word counts, not the watcher's.
  if [ "${PIPESTATUS[0]}" -ne 0 ]; then
    printf 'The build of preset %s failed.\n' "$preset" >&2
    return 1
  fi
}

# "1:02" from a number of seconds.
as_minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
