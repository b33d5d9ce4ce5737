#!/bin/sh
# Installs clang with AddressSanitizer, UndefinedBehaviorSanitizer and libFuzzer from the system's own Debian or Ubuntu archive,
# for the native build of the fuzzer (tests/fuzz/native.ts). Does nothing, quickly, when they work. Exit status 1: they do not.
set -u

probe() {
  command -v clang >/dev/null 2>&1 || return 1
  folder=$(mktemp -d) || return 1
  echo 'int LLVMFuzzerTestOneInput(const char *a, long b) { return !a && b; }' >"$folder/a.c"
  clang -fsanitize=address,undefined,fuzzer "$folder/a.c" -o "$folder/a" >/dev/null 2>&1
  status=$?
  rm -rf "$folder"
  return $status
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

probe && exit 0
if [ "${1:-}" != --check ] && command -v apt-get >/dev/null 2>&1; then
  echo "sanitizers: installing clang" >&2
  apt update
  apt install --no-install-recommends clang libc6-dev >&2
  # The sanitizers are a package of the same release; which one that is, clang says.
  version=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
  [ -z "$version" ] || apt install --no-install-recommends "libclang-rt-$version-dev" >&2
fi
probe && exit 0
echo "sanitizers: MISSING: clang with libclang-rt could not be installed; the native build of the fuzzer cannot be made" >&2
exit 1
