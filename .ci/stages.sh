# shellcheck shell=bash
# Stages of a CI run: each is timed, and what ctest counted is added up. Sourced by .ci/run and .ci/full.
. .ci/skips.sh

passed=0
failed=0
skipped=0
broken=()
ci_started=$SECONDS

# stage NAME COMMAND…: runs it, shows its output, counts the tests in it. A stage that fails does not keep the
# next ones from running: one look at the end says everything that is wrong.
stage() {
  local name=$1 begun=$SECONDS status=0 log total bad missed
  shift
  log=$(mktemp)
  printf '\n=== %s\n' "$name"
  "$@" 2>&1 | tee "$log" || status=1
  while read -r bad total; do
    passed=$((passed + total - bad))
    failed=$((failed + bad))
  done < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$log")
  # ctest counts these among the passed.
  missed=$(grep -cE '^[[:space:]]+[0-9]+ - .* \((Skipped|Disabled)\)$' "$log" || true)
  passed=$((passed - missed))
  skipped=$((skipped + missed))
  rm -f "$log"
  if [ $status -ne 0 ]; then broken+=("$name"); fi
  printf '=== %s: %s in %s\n' "$name" "$([ $status -eq 0 ] && echo good || echo FAILED)" "$(as_minutes $((SECONDS - begun)))"
}

# The last lines of a run; its exit status.
close_run() {
  local name
  printf '\ntook %s\n' "$(as_minutes $((SECONDS - ci_started)))"
  for name in ${broken[@]+"${broken[@]}"}; do printf 'FAILED: %s\n' "$name"; done
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ ${#broken[@]} -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# ctest of a preset, brief.
ctest_preset() {
  local preset=$1 status
  shift
  ctest --test-dir "build/$preset" -j2 --output-on-failure --no-tests=error "$@" |
    grep -vE '^ *Start +[0-9]+:|^ *[0-9]+/[0-9]+ Test .* Passed '
  status=${PIPESTATUS[0]}
  tell_skips "build/$preset"
  return "$status"
}

# Committed inputs first, as ctest replays them everywhere; then new ones for so many seconds, thrown away when
# nothing was found.
fuzz_for() {
  local seconds=$1 name=$2 top=$PWD found
  found=$(mktemp -d)
  mkdir "$found/corpus"
  if ! (cd "$found" && "$top/build/fuzz/fuzz/$name" -max_total_time="$seconds" -print_final_stats=1 \
    -dict="$top/tests/fuzz/${name%_fuzzer}.dict" corpus "$top/tests/fuzz/corpus/${name%_fuzzer}") >"$found/log" 2>&1; then
    tail -n 60 "$found/log"
    printf '%s found something: the input is in %s\n' "$name" "$found"
    return 1
  fi
  printf '%s: %s inputs in %s s, %s\n' "$name" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")" "$seconds" \
    "$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$found/log" | tail -n 1)"
  rm -rf "$found"
}

every_fuzzer() { sed -nE 's/^hsm_fuzzer\((\w+) .*/\1/p' tests/fuzz/CMakeLists.txt; }

# Two at a time; each says in one line what it did, or what it found. xargs fails where one of them does.
fuzz_all() {
  export -f fuzz_for
  every_fuzzer | xargs -P 2 -I NAME bash -c 'fuzz_for "$@"' fuzz_for "$1" NAME
}

build_fuzzers() {
  local -a targets=()
  mapfile -t targets < <(every_fuzzer)
  [ ${#targets[@]} -gt 0 ] || { echo 'tests/fuzz/CMakeLists.txt names no fuzzer'; return 1; }
  build_preset fuzz "${targets[@]}" "${targets[@]/%/_replay}"
}
