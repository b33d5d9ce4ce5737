"""A TLS client: runs the steps of protocol.ts on one connection or more, and prints a line of JSON for each.

Every connection after the first tries to resume the first one's session.
"""

import hashlib
import json
import select
import socket
import ssl
import sys

from common import CHUNK, client_arguments, client_context, parse_step, pattern, pattern_digest


class Client:
    def __init__(self, tls):
        self.tls = tls
        self.rest = b""

    def line(self):
        while b"\n" not in self.rest:
            data = self.tls.recv(4096)
            if not data:
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def exchange(self, out, n):
        """Writes the pieces of `out` while it reads `n` bytes; returns their digest."""
        digest = hashlib.sha256(self.rest[:n])
        got, self.rest = len(self.rest[:n]), self.rest[n:]
        piece = next(out, None)
        self.tls.setblocking(False)
        while got < n or piece is not None:
            moved = False
            wants_write = piece is not None
            try:
                if piece is not None:
                    sent = self.tls.send(piece)
                    piece = piece[sent:] or next(out, None)
                    moved = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            try:
                if got < n:
                    data = self.tls.recv(min(n - got, CHUNK))
                    if not data:
                        raise EOFError("end of stream in counted bytes")
                    digest.update(data)
                    got += len(data)
                    moved = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            if not moved and not any(select.select([self.tls], [self.tls] if wants_write else [], [], 30)[:2]):
                raise TimeoutError("no progress in 30 s")
        self.tls.settimeout(30)
        return digest.hexdigest()

    def step(self, step):
        verb, n, seed = parse_step(step)
        wire = step[len("LINE ") :] if verb == "LINE" else step
        self.tls.sendall(wire.encode() + b"\n")
        if verb == "LINE":
            line = self.line()
            return {"step": step, "ok": line is not None, "line": line}
        if verb == "INFO":
            return {"step": step, "ok": True, "info": json.loads(self.line())}
        if verb == "SINK":
            self.exchange(pattern(seed, n), 0)
            digest = self.line()
        elif verb in ("ECHO", "SOURCE"):
            digest = self.exchange(pattern(seed, n) if verb == "ECHO" else iter(()), n)
        else:
            return {"step": step, "ok": self.line() is None}
        return {"step": step, "ok": digest == pattern_digest(seed, n), "sha256": digest}


def is_cut_short(error):
    """Whether a stream ended without close_notify. Until 3.11.4 that was no class of its own."""
    return isinstance(error, ssl.SSLEOFError) or getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING"


def connect(args, ctx, session):
    report = {"steps": []}
    with socket.create_connection((args.host, args.port), timeout=30) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with ctx.wrap_socket(
                raw, server_hostname=args.servername, session=session, suppress_ragged_eofs=False
            ) as tls:
                report |= {"version": tls.version(), "cipher": tls.cipher()[0], "resumed": tls.session_reused}
                report |= {"alpn": tls.selected_alpn_protocol()}
                client = Client(tls)
                for step in args.steps:
                    report["steps"].append(client.step(step))
                session = tls.session
                tls.unwrap()
                report["closed"] = "clean"
        except (OSError, EOFError) as error:
            if is_cut_short(error):
                report["closed"] = "truncated"
            else:
                report["error"] = str(error)
    print(json.dumps(report), flush=True)
    return "error" not in report, session


def main():
    args = client_arguments(__doc__).parse_args()
    ctx = client_context(args)
    session = None
    for _ in range(args.connections):
        ok, session = connect(args, ctx, session)
        if not ok:
            sys.exit(1)


main()
