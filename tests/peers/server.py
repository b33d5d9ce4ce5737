"""A TLS server with blocking sockets and a thread per connection; protocol.ts says what it answers.

It ends when its standard input does. Events: listening, open, failed (the handshake), closed.
"""

import hashlib
import json
import os
import socket
import sys
import threading

from common import CHUNK, info, parse_step, pattern, say, server_arguments, server_context


class Connection:
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

    def pieces(self, n):
        while n > 0:
            data = self.rest[:n] or self.tls.recv(min(n, CHUNK))
            if not data:
                raise EOFError("end of stream in counted bytes")
            self.rest = self.rest[len(data) :] if self.rest else b""
            n -= len(data)
            yield data

    def serve(self):
        while (line := self.line()) is not None:
            verb, n, seed = parse_step(line)
            if verb == "ECHO":
                for piece in self.pieces(n):
                    self.tls.sendall(piece)
            elif verb == "SINK":
                digest = hashlib.sha256()
                for piece in self.pieces(n):
                    digest.update(piece)
                self.tls.sendall(digest.hexdigest().encode() + b"\n")
            elif verb == "SOURCE":
                for piece in pattern(seed, n):
                    self.tls.sendall(piece)
            elif verb == "INFO":
                self.tls.sendall(json.dumps(info(self.tls)).encode() + b"\n")
            elif verb == "DROP":
                return False
            else:
                if verb != "QUIT":
                    self.tls.sendall(b"ERROR\n")
                return True
        return True


def linger(tls):
    """Waits for the client's end. A close with bytes unread is a reset, which can overtake the alert."""
    try:
        tls.shutdown(socket.SHUT_WR)  # from here on it is a plain socket
        while tls.recv(CHUNK):
            pass
    except OSError:
        pass


def serve(raw, ctx):
    raw.settimeout(60)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with ctx.wrap_socket(
        raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
    ) as tls:
        try:
            tls.do_handshake()
        except OSError as error:
            say("failed", error=str(error))
            return linger(tls)
        try:
            say("open", **info(tls))
            if Connection(tls).serve():
                tls.unwrap()  # close_notify, and waits for the peer's
            say("closed", clean=True)
        except (OSError, EOFError) as error:
            say("closed", clean=False, error=str(error))


def main():
    args = server_arguments(__doc__).parse_args()
    ctx = server_context(args)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    say("listening", port=listener.getsockname()[1])

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], ctx), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # connections that are still open must not keep it


main()
