# shellcheck shell=bash
# Why tests were skipped; sourced by run-tests and stages.sh. ctest says that one was, and keeps the reason to itself.

# tell_skips BUILD_DIRECTORY: a line for each test of the last ctest run that was skipped, or in which something was,
# with the reason that it printed: "skipped: …" of our scripts, "… skipped 'why'" of unittest, gtest's line after
# "file:1: Skipped".
tell_skips() {
  local log=$1/Testing/Temporary/LastTest.log
  [ -f "$log" ] || return 0
  awk '
    function tell(why) { if (!told[name, why]++) print "skipped: " name ": " why }
    /^[0-9]+\/[0-9]+ Test: / { name = $3; next }
    /^skipped: / { tell(substr($0, 10)) }
    / \.\.\. skipped / { sub(/.* \.\.\. skipped /, ""); tell($0) }
    /:[0-9]+: Skipped$/ { if ((getline why) > 0) tell(why) }
  ' "$log"
}
