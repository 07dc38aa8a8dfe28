#!/bin/sh
# Makes a development token: init-token.sh DIR LABEL
#
# DIR is private (0700) and holds the files `pin` and `so-pin` (0600, one line each); both are made with
# random PINs where they are missing. Afterwards DIR/softhsm2.conf and DIR/token/ are there, and whoever sets
# SOFTHSM2_CONF=DIR/softhsm2.conf sees the token LABEL. A token of that label is refused, not replaced.
#
# softhsm2-util takes PINs from its arguments, where every user of the machine can read them, or from a
# terminal; so script(1) gives it a terminal and the PINs come through standard input.
set -eu
umask 077

fail() { echo "init-token.sh: $1" >&2; exit "${2:-3}"; }

[ $# -eq 2 ] || fail "usage: init-token.sh DIR LABEL" 2
dir=$1
label=$2
here=$(cd "$(dirname "$0")" && pwd)
case $label in
  '' | *[!a-z0-9._-]* | [!a-z0-9]*) fail "the label must match [a-z0-9][a-z0-9._-]{0,31}" 2 ;;
esac
[ ${#label} -le 32 ] || fail "the label must have at most 32 characters" 2
[ -d "$dir" ] || fail "$dir is not a directory" 2
dir=$(cd "$dir" && pwd)
case $dir in
  *[!A-Za-z0-9/._-]*) fail "the path $dir may hold letters, digits and / . _ - only" 2 ;;
esac
command -v softhsm2-util >/dev/null || fail "softhsm2-util is missing: apt-get install softhsm2"
command -v script >/dev/null || fail "script is missing: apt-get install bsdutils"

for file in pin so-pin; do
  [ -e "$dir/$file" ] && continue
  od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/$file"
  echo >>"$dir/$file"
done
pin=$(head -n 1 "$dir/pin")
so_pin=$(head -n 1 "$dir/so-pin")
[ -n "$pin" ] && [ -n "$so_pin" ] || fail "$dir/pin and $dir/so-pin must hold one line each" 2

sed "s|@DIR@|$dir|g" "$here/softhsm2.conf.in" >"$dir/softhsm2.conf"
mkdir -p -m 0700 "$dir/token"
SOFTHSM2_CONF=$dir/softhsm2.conf
export SOFTHSM2_CONF
if softhsm2-util --show-slots | grep -q "Label: *$label *\$"; then
  fail "$dir holds a token \"$label\" already"
fi
# printf is a builtin: no process has the PINs among its arguments.
said=$(printf '%s\n%s\n%s\n%s\n' "$so_pin" "$so_pin" "$pin" "$pin" |
  script -qec "softhsm2-util --init-token --free --label $label" /dev/null 2>&1) || true
# Looked up instead of believed: a PIN that does not fit leaves no token, and what was said may hold it.
softhsm2-util --show-slots | grep -q "Label: *$label *\$" ||
  fail "softhsm2-util did not make the token; are both PINs 4 to 255 characters?"
unset said pin so_pin
