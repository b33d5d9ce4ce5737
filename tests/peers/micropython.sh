#!/bin/sh
# Unpacks MicroPython 1.25 for a machine whose own archive has none: Debian 13's package with the libraries that it needs, C
# library included, from the mirror that the machine's apt uses. Nothing is installed, and it needs no root.
#
#   tests/peers/micropython.sh DIR    DIR/micropython is the program
set -eu
suite=trixie
dir=$1
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
  grep -v '^ *#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
if [ -z "$mirror" ]; then
  echo "peers: /etc/apt lists no Debian mirror to take micropython from" >&2
  exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] && signed="[signed-by=$keyring] " || signed=

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/debs" "$dir"
: >"$work/status"
echo "deb $signed$mirror $suite main" >"$work/sources.list"

apt() {
  apt-get -qq -o Dir::State="$work" -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
    -o Dir::Cache="$work" -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
    -o Acquire::Languages=none -o Acquire::http::Timeout=20 -o APT::Update::Error-Mode=any -o APT::Sandbox::User=root "$@"
}
apt update
(cd "$work/debs" && apt download micropython libmbedtls21 libmbedx509-7 libmbedcrypto16 libffi8 libc6)

rm -rf "$dir/micropython.root"
for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$dir/micropython.root"; done
loader=$(cd "$dir/micropython.root" && find usr -name 'ld-linux-*' | head -n 1)
libraries=$(cd "$dir/micropython.root" && dirname "$(find usr -name 'libmbedtls.so.*' | head -n 1)")
cat >"$dir/micropython" <<RUN
#!/bin/sh
root=\$(dirname "\$0")/micropython.root
exec "\$root/$loader" --library-path "\$root/$libraries" "\$root/usr/bin/micropython" "\$@"
RUN
chmod +x "$dir/micropython"
"$dir/micropython" -c 'import tls'
