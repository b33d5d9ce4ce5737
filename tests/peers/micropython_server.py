# A TLS server for MicroPython 1.25, whose module is `tls`. One argument, JSON: see micropython.ts. Gives back each line,
# in capitals, until the client says "bye" or ends; prints a line of JSON for each connection. "deferred": by polling, with
# the handshake on first use; "asyncio": by its streams, likewise.
import asyncio, json, select, socket, sys, tls

options = json.loads(sys.argv[1])


def file(name):
    with open(options[name], "rb") as f:
        return f.read()


context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
context.load_cert_chain(file("cert"), file("key"))
if options.get("ca"):
    context.verify_mode = tls.CERT_REQUIRED
    context.load_verify_locations(file("ca"))


def blocking(sock):
    lines = 0
    while True:
        line = sock.readline()
        if not line or line == b"bye\n":
            return lines
        sock.write(line.upper())
        lines += 1


def deferred(sock):
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    got, out, lines = b"", b"", 0
    while True:
        if not poller.poll(10000):
            raise OSError("never ready")
        if out:
            out = out[sock.write(out) or 0 :]
        else:
            data = sock.read(1)
            if data == b"":
                return lines
            got += data or b""
            if got == b"bye\n":
                return lines
            if got.endswith(b"\n"):
                got, out, lines = b"", got.upper(), lines + 1
        poller.modify(sock, select.POLLOUT if out else select.POLLIN)


def told(e):
    return {
        "event": "closed",
        "error": type(e).__name__,
        "args": [str(a) if isinstance(a, str) else a for a in e.args],
    }


async def handler(reader, writer):
    result = {"event": "closed", "lines": 0}
    try:
        while True:
            line = await reader.readline()
            if not line or line == b"bye\n":
                break
            writer.write(line.upper())
            await writer.drain()
            result["lines"] += 1
    except Exception as e:
        result = told(e)
    writer.close()
    await writer.wait_closed()
    print(json.dumps(result))


async def serve():
    server = await asyncio.start_server(handler, "127.0.0.1", options["port"], ssl=context)
    print(json.dumps({"event": "listening"}))
    await server.wait_closed()


if options.get("asyncio"):
    asyncio.run(serve())

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(socket.getaddrinfo("127.0.0.1", options["port"])[0][-1])
listener.listen(5)
print(json.dumps({"event": "listening"}))
while True:
    conn, _ = listener.accept()
    polling = options.get("deferred", False)
    result = {"event": "closed"}
    try:
        conn.setblocking(not polling)
        ss = context.wrap_socket(conn, server_side=True, do_handshake_on_connect=not polling)
        result["lines"] = (deferred if polling else blocking)(ss)
        result["cipher"] = ss.cipher()
        ss.close()
    except Exception as e:
        result = told(e)
        conn.setblocking(True)
        try:
            conn.read()  # to close with unread bytes would be a reset, which overtakes the alert
        except OSError:
            pass
        conn.close()
    print(json.dumps(result))
