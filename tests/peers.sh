#!/bin/sh
# Installs, from the system's own Debian or Ubuntu archive, the programs that the interop tests talk to, and what the
# bench builds its native client with.
# Does nothing, quickly, when all of them are there. Exit status 1: at least one is still missing.
#
#   tests/peers.sh            install what is missing
#   tests/peers.sh --check    only say what is missing
set -u
PATH="$PATH:/usr/sbin:/sbin"

# Programs that are unpacked here because this machine's archive is too old to have them.
HERE=$(dirname "$0")
PROGRAMS="$HERE/.programs"
PATH="$PATH:$PROGRAMS"

# What must be there, and the package that brings it. A name with a slash is a file, any other a program.
PEERS='
curl                                curl
openssl                             openssl
gnutls-serv                         gnutls-bin
gnutls-cli                          gnutls-bin
nginx                               nginx-light
python3                             python3
micropython                         micropython
node                                nodejs
chromium                            chromium
certutil                            libnss3-tools
selfserv                            libnss3-tools
tstclnt                             libnss3-tools
wrk                                 wrk
tshark                              tshark
redis-server                        redis-server
haproxy                             haproxy
cc                                  gcc
/usr/include/openssl/ssl.h          libssl-dev
/usr/include/stdlib.h               libc6-dev
/etc/ssl/certs/ca-certificates.crt  ca-certificates
/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data/ReadMe.txt  python3-cryptography-vectors
'

present() {
  case $1 in
    */*) [ -s "$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# Packages of all peers that are missing, each once.
missing() {
  echo "$PEERS" | while read -r peer package; do
    [ -z "$peer" ] || present "$peer" || echo "$package"
  done | sort -u
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

# A package may start its service (nginx) unless the policy helper says no. Where none exists, ours stays only
# for as long as this script runs.
POLICY=/usr/sbin/policy-rc.d
forbid_services() {
  [ -e "$POLICY" ] && return
  trap 'as_root rm -f "$POLICY"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null && as_root chmod 755 "$POLICY"
}

wanted=$(missing)
[ -z "$wanted" ] && exit 0
if [ "${1:-}" != --check ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "peers: no apt-get here: install the programs by other means" >&2
  else
    echo "peers: installing" $wanted >&2
    forbid_services
    apt update
    # shellcheck disable=SC2086  # one word per package
    if ! apt install --no-install-recommends $wanted >&2; then
      # One package that is not to be had must not cost us the others.
      for package in $wanted; do apt install --no-install-recommends "$package" >&2; done
    fi
  fi
  present micropython || sh "$HERE/peers/micropython.sh" "$PROGRAMS" >&2
fi

still=$(missing)
[ -z "$still" ] && exit 0
for package in $still; do
  echo "peers: MISSING: package $package could not be installed; the tests that need it will fail" >&2
done
exit 1
