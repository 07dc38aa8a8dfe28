# shellcheck shell=bash
# The one list of Debian packages. Sourced by quickstart, run-tests and the scripts beside this file:
#
#   ensure_packages build test    installs what is missing of these groups; instant when nothing is
#
# Groups: build (compile and run), test (what ./run-tests needs besides), check (sanitizer, fuzz and format
# runs of .ci/run and .ci/full), long (tests behind ./run-tests --long).

packages_build=(
  g++ binutils cmake ninja-build pkg-config
  libboost1.81-dev libboost-json1.81-dev libssl-dev libp11-dev libp11-kit-dev libexpected-dev libtomlplusplus-dev
  libcli11-dev libfmt-dev libsystemd-dev libsqlite3-dev libseccomp-dev
  softhsm2 bsdutils openssl curl tzdata)
packages_test=(
  libgtest-dev libgmock-dev nlohmann-json3-dev opensc opensc-pkcs11 p11-kit p11-kit-modules python3 strace gdb procps
  passwd openssh-client chromium fonts-dejavu-core spin)
packages_check=(
  clang-14 libclang-rt-14-dev llvm-14 clang-format-14)
packages_long=(
  libnss3 libnss3-tools opencryptoki
  libtpm2-pkcs11-1 libtpm2-pkcs11-tools tpm2-tools tpm2-abrmd swtpm dbus libtss2-tcti-swtpm0 libtss2-tcti-tabrmd0
  nodejs)
# A nodejs that is not Debian's brings its own and cannot stand Debian's beside it.
command -v npm >/dev/null || packages_long+=(npm)

# Prints what is missing of the packages named. dpkg-query fails for names it never saw and still answers for
# the others, so its status says nothing; heeded, it would end this under `set -e -o pipefail` before a word, and
# "nothing is missing" is what a fresh machine would hear.
missing_packages() {
  local installed name
  installed=$( (dpkg-query --show --showformat='${Package} ${db:Status-Abbrev}\n' "$@" 2>/dev/null || true) |
    awk '$2 == "ii" { print $1 }')
  for name in "$@"; do
    grep -qxF "$name" <<<"$installed" || printf '%s\n' "$name"
  done
}

install_packages() {
  local log=$1
  shift
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1
}

# ensure_packages GROUP…; exits with 2 and a sentence where packages are missing and cannot be installed.
ensure_packages() {
  local group log
  local -a wanted=() missing
  for group in "$@"; do
    local -n list="packages_$group"
    wanted+=("${list[@]}")
  done
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  [ ${#missing[@]} -eq 0 ] && return 0

  if [ "$(id -u)" -ne 0 ]; then
    printf 'Debian packages are missing and only root can install them. As root:\n  apt-get update && apt-get install --no-install-recommends %s\n' \
      "${missing[*]}" >&2
    exit 2
  fi
  log=$(mktemp)
  # The lists of a machine that installed something lately still serve; a fresh one has none.
  if ! install_packages "$log" "${missing[@]}"; then
    if ! { apt-get update >>"$log" 2>&1 && install_packages "$log" "${missing[@]}"; }; then
      tail -n 20 "$log" >&2
      printf 'apt-get could not install: %s\nIts whole output: %s\n' "${missing[*]}" "$log" >&2
      exit 2
    fi
  fi
  rm -f "$log"
}
