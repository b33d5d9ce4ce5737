"""What the Python peers share: arguments, TLS contexts, and the pattern of the protocol (see protocol.ts)."""

import argparse
import functools
import hashlib
import json
import ssl

CHUNK = 50_000
PERIOD = 65_521


@functools.lru_cache
def table(seed):
    x = (seed * 2654435761 + 1) % 2**32 or 1
    out = bytearray()
    for _ in range(PERIOD):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        out.append(x >> 24)
    return bytes(out) + bytes(out[:CHUNK])


def pattern(seed, length):
    """The first `length` bytes of the pattern of `seed`, in pieces."""
    data = table(seed)
    for at in range(0, length, CHUNK):
        start = at % PERIOD
        yield data[start : start + min(CHUNK, length - at)]


def pattern_digest(seed, length):
    digest = hashlib.sha256()
    for piece in pattern(seed, length):
        digest.update(piece)
    return digest.hexdigest()


def parse_step(line):
    verb, n, seed = (line.split(" ") + ["0", "0"])[:3]
    return verb, int(n) if n.isdigit() else 0, int(seed) if seed.isdigit() else 0


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    parser.add_argument("--tls", choices=["1.2", "1.3", "both"], default="both")
    parser.add_argument("--alpn")
    parser.add_argument("--ciphers", help="OpenSSL cipher list, of TLS 1.2")
    return parser


def context(args, protocol):
    ctx = ssl.SSLContext(protocol)
    # Until 3.11.4 it was on by default, and a stream that was cut short looked like one that had ended.
    ctx.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0x80)
    if args.tls != "1.3":
        ctx.minimum_version = ssl.TLSVersion.TLSv1_2
    if args.tls == "1.2":
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    if args.tls == "1.3":
        ctx.minimum_version = ssl.TLSVersion.TLSv1_3
    if args.cert:
        ctx.load_cert_chain(args.cert, args.key)
    if args.ca:
        ctx.load_verify_locations(args.ca)
    if args.alpn:
        ctx.set_alpn_protocols(args.alpn.split(","))
    if args.ciphers:
        ctx.set_ciphers(args.ciphers)
    return ctx


def server_context(args):
    ctx = context(args, ssl.PROTOCOL_TLS_SERVER)
    ctx.verify_mode = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}[
        args.client_auth
    ]

    def remember_name(tls, name, _ctx):
        tls.sni = name

    ctx.sni_callback = remember_name
    return ctx


def server_arguments(description):
    parser = arguments(description)
    parser.add_argument("--client-auth", choices=["none", "optional", "required"], default="none")
    return parser


def client_arguments(description):
    parser = arguments(description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--servername")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("steps", nargs="*", help="lines of the protocol")
    return parser


def client_context(args):
    ctx = context(args, ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = bool(args.ca and args.servername)
    ctx.verify_mode = ssl.CERT_REQUIRED if args.ca else ssl.CERT_NONE
    return ctx


def info(tls):
    """PeerInfo of protocol.ts, of a server's SSLSocket or SSLObject."""
    subject = dict(pair for name in (tls.getpeercert() or {}).get("subject", ()) for pair in name)
    return {
        "version": tls.version(),
        "cipher": tls.cipher()[0],
        "resumed": tls.session_reused,
        "alpn": tls.selected_alpn_protocol(),
        "sni": getattr(tls, "sni", None),
        "client": subject.get("commonName"),
    }


def say(event, **more):
    """One line of JSON for the test to read."""
    print(json.dumps({"event": event, **more}), flush=True)
