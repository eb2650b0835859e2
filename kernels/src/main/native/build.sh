#!/bin/sh
# Builds the native half of the CPU backend into a folder of Java resources.
#
#   build.sh <resources> <objects> [make target] [name]
#
# Without make and a C compiler with its headers there is no library, and the backend in Java serves.
set -eu
resources=$1 objects=$2 target=${3:-libtessera.so} name=${4:-libtessera}
here=$(cd "$(dirname "$0")" && pwd)

compiler=
for candidate in "${CC:-}" cc gcc clang; do
  if [ -n "$candidate" ] && echo '#include <math.h>' | "$candidate" -fsyntax-only -xc - 2>/dev/null; then
    compiler=$candidate
    break
  fi
done
if [ -z "$compiler" ] || ! command -v make >/dev/null 2>&1; then
  echo "no make or no C compiler with headers: building without the native CPU backend"
  exit 0
fi

mkdir -p "$resources" "$objects"
make -s -C "$here" -j2 CC="$compiler" OUT="$objects" "$objects/$target"
system=$(uname -s | tr '[:upper:]' '[:lower:]') machine=$(uname -m)
cp "$objects/$target" "$resources/$name-$system-$machine.so"
