#!/bin/sh
# Makes every key and certificate in this folder again, with the openssl command (3.0 or later). README.md
# says what each file is. Only the tests trust them; the keys are public, so trust them nowhere else.
set -eu
cd "$(dirname "$0")"
umask 022
rm -f ./*.pem ./*.key ./*.der
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

PASSWORD=tlsio
FROM=20200101000000Z # X.509 dates from 2050 on are GeneralizedTime: the far end tests that, too
TO=20991231235959Z

cat >"$tmp/openssl.cnf" <<CNF
[ca]
default_ca = issuer
[issuer]
database = $tmp/index.txt
new_certs_dir = $tmp
rand_serial = yes
default_md = sha256
policy = any_name
unique_subject = no
email_in_dn = no
[any_name]
countryName = optional
organizationName = optional
commonName = optional
[req]
distinguished_name = empty
prompt = no
[empty]
CNF
: >"$tmp/index.txt"

# Extension sections. usage CA | PATHLEN0 | BOOK | SERVER | AGREE | CLIENT, then the subject alternative name, if any.
# BOOK is what "openssl req -x509" makes by itself: an authority without a key usage, so it may also serve.
extensions() {
  echo "[v3]"
  echo "subjectKeyIdentifier = ${KEY_ID:-hash}"
  echo "authorityKeyIdentifier = keyid"
  case $1 in
    CA | BOOK) echo "basicConstraints = critical, CA:TRUE" ;;
    PATHLEN0) echo "basicConstraints = critical, CA:TRUE, pathlen:0" ;;
    *) echo "basicConstraints = critical, CA:FALSE" ;;
  esac
  case $1 in
    CA | PATHLEN0) echo "keyUsage = critical, keyCertSign, cRLSign" ;;
    SERVER) echo "keyUsage = critical, digitalSignature, keyEncipherment" ;;
    AGREE) echo "keyUsage = critical, digitalSignature, keyEncipherment, keyAgreement" ;;
    CLIENT) echo "keyUsage = critical, digitalSignature" ;;
  esac
  case $1 in
    SERVER | AGREE) echo "extendedKeyUsage = serverAuth" ;;
    CLIENT) echo "extendedKeyUsage = clientAuth" ;;
  esac
  [ -z "$2" ] || echo "subjectAltName = $2"
}

# key NAME KIND: a PKCS#8 key in NAME.key.
key() {
  case $2 in
    rsa*) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa}" -out "$1.key" ;;
    ed25519) openssl genpkey -algorithm ED25519 -out "$1.key" ;;
    *) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1.key" ;;
  esac
}

# cert NAME ISSUER SUBJECT USAGE [SAN]: NAME.pem for NAME.key, signed by ISSUER ("self": by its own key).
# $DIGEST, $NOT_BEFORE, $NOT_AFTER and $KEY_ID replace the defaults.
cert() {
  extensions "$4" "${5:-}" >"$tmp/ext.cnf"
  openssl req -new -config "$tmp/openssl.cnf" -key "$1.key" -subj "$3" -out "$tmp/$1.csr"
  if [ "$2" = self ]; then
    set -- "$1" -selfsign -keyfile "$1.key"
  else
    set -- "$1" -cert "$2.pem" -keyfile "$2.key"
  fi
  name=$1
  shift
  openssl ca -batch -notext -preserveDN -config "$tmp/openssl.cnf" -md "${DIGEST:-sha256}" \
    -startdate "${NOT_BEFORE:-$FROM}" -enddate "${NOT_AFTER:-$TO}" -extfile "$tmp/ext.cnf" -extensions v3 \
    -in "$tmp/$name.csr" -out "$name.pem" "$@" 2>"$tmp/log" || { cat "$tmp/log" >&2; exit 1; }
}

SAN="DNS:localhost, DNS:example.test, DNS:*.wild.test, IP:127.0.0.1, IP:::1"

# Authorities.
key root P-256 && cert root self "/O=tlsio tests/CN=EC root" CA
key root-rsa rsa2048 && cert root-rsa self "/O=tlsio tests/CN=RSA root" CA
key intermediate P-256 && cert intermediate root "/O=tlsio tests/CN=EC intermediate" PATHLEN0
cat root.pem root-rsa.pem >roots.pem

# Servers.
key ec P-256 && cert ec root "/O=tlsio tests/CN=localhost" SERVER "$SAN"
key rsa rsa2048 && cert rsa root-rsa "/O=tlsio tests/CN=localhost" SERVER "$SAN"
key rsa4096 rsa4096 && cert rsa4096 root-rsa "/O=tlsio tests/CN=localhost" SERVER "$SAN"
key p384 P-384 && cert p384 root "/O=tlsio tests/CN=localhost" SERVER "$SAN"
key p521 P-521 && cert p521 root "/O=tlsio tests/CN=localhost" SERVER "$SAN"
key ed25519 ed25519 && cert ed25519 root "/O=tlsio tests/CN=localhost" SERVER "$SAN"
key chain P-256 && cert chain intermediate "/O=tlsio tests/CN=localhost" SERVER "$SAN"
cp chain.pem chain-leaf.pem && cat chain-leaf.pem intermediate.pem >chain.pem

# A server that may speak static ECDH, whose suites' names say with which key its certificate was signed. (NSS also
# wants the usages of the other suites.)
key ecdh P-256 && cert ecdh root "/O=tlsio tests/CN=localhost" AGREE "$SAN"
cp ecdh.key ecdh-rsa.key && cert ecdh-rsa root-rsa "/O=tlsio tests/CN=localhost" AGREE "$SAN"

# Clients.
key client P-256 && cert client root "/O=tlsio tests/CN=EC client" CLIENT "email:client@example.test"
key client-rsa rsa2048 && cert client-rsa root-rsa "/O=tlsio tests/CN=RSA client" CLIENT

# Self-signed. The second is the book's: every question of "openssl req" answered with the default.
key self P-256 && cert self self "/CN=localhost" SERVER "$SAN"
key book rsa2048 && cert book self "/C=AU" BOOK

# Certificates that a client must reject: by their dates ...
shared() { cp ec.key "$1.key"; }
shared expired && NOT_AFTER=20210101000000Z cert expired root "/CN=localhost" SERVER "$SAN"
shared future && NOT_BEFORE=20980101000000Z cert future root "/CN=localhost" SERVER "$SAN"
# ... by their names, when it asks for localhost, 127.0.0.1, or a name of the README's ...
shared cn-only && cert cn-only root "/CN=localhost" SERVER
shared ip-in-dns && cert ip-in-dns root "/CN=127.0.0.1" SERVER "DNS:127.0.0.1"
shared wildcard-suffix && cert wildcard-suffix root "/CN=wildcard" SERVER "DNS:*.test"
shared wildcard-partial && cert wildcard-partial root "/CN=wildcard" SERVER "DNS:w*.test.example"
# ... by their use or strength ...
shared wrong-eku && cert wrong-eku root "/CN=localhost" CLIENT "$SAN"
shared sha1 && DIGEST=sha1 cert sha1 root "/CN=localhost" SERVER "$SAN"
key rsa1024 rsa1024 && cert rsa1024 root-rsa "/CN=localhost" SERVER "$SAN"
# ... or by their issuer: not an authority, one level too deep, another with the same name and key identifier.
shared leaf-issued && cert leaf-issued ec "/CN=localhost" SERVER "$SAN"
cp leaf-issued.pem "$tmp/leaf.pem" && cat "$tmp/leaf.pem" ec.pem >leaf-issued.pem
key pathlen-ca P-256 && cert pathlen-ca intermediate "/O=tlsio tests/CN=EC intermediate 2" CA
shared pathlen && cert pathlen pathlen-ca "/CN=localhost" SERVER "$SAN"
cp pathlen.pem "$tmp/leaf.pem" && cat "$tmp/leaf.pem" pathlen-ca.pem intermediate.pem >pathlen.pem
root_id=$(openssl x509 -in root.pem -noout -ext subjectKeyIdentifier | tail -1 | tr -d ' ')
key impostor-root P-256 && KEY_ID=$root_id cert impostor-root self "/O=tlsio tests/CN=EC root" CA
key impostor P-256 && cert impostor impostor-root "/O=tlsio tests/CN=localhost" SERVER "$SAN"
rm pathlen-ca.pem pathlen-ca.key impostor-root.key ecdh-rsa.key
for name in expired future cn-only ip-in-dns wildcard-suffix wildcard-partial wrong-eku sha1 leaf-issued \
  pathlen; do rm "$name.key"; done

# The same keys and certificates in other forms.
body() { sed '/-----/d' | openssl base64 -d; }
for name in ec rsa book; do
  body <"$name.pem" >"$name.der"
  body <"$name.key" >"$name.key.der"
done
for pair in ec.sec1 rsa.pkcs1; do
  name=${pair%.*}
  openssl pkey -in "$name.key" -traditional -out "$pair.key"
  body <"$pair.key" >"$pair.der"
  openssl pkey -in "$name.key" -traditional -aes256 -passout "pass:$PASSWORD" -out "$name.proctype.key"
  openssl pkcs8 -topk8 -in "$name.key" -v2 aes-256-cbc -v2prf hmacWithSHA256 -passout "pass:$PASSWORD" \
    -out "$name.pbes2.key"
done
chmod 644 ./*.key # openssl makes them private, which would promise something
