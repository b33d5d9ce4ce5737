# A TLS client for MicroPython 1.25, whose module is `tls`. One argument, JSON: see micropython.ts. Sends a line, prints
# what comes back and what it found as a line of JSON. "deferred": by polling, with the handshake on first use; "asyncio":
# by its streams, whose handshake is on first use, too.
import asyncio, json, select, socket, sys, tls

options = json.loads(sys.argv[1])


def file(name):
    path = options.get(name)
    if path is None:
        return None
    with open(path, "rb") as f:
        return f.read()


def context():
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.verify_mode = tls.CERT_REQUIRED if options.get("ca") else tls.CERT_NONE
    if options.get("ca"):
        made.load_verify_locations(file("ca"))
    if options.get("cert"):
        made.load_cert_chain(file("cert"), file("key"))
    if options.get("ciphers"):
        made.set_ciphers(options["ciphers"])
    return made


def blocking(sock, line):
    sock.write(line)
    return sock.readline()


def deferred(sock, line):
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    got = b""
    while True:
        ready = poller.poll(10000)
        if not ready:
            raise OSError("never ready")
        if line:
            line = line[sock.write(line) or 0 :]
            if not line:
                poller.modify(sock, select.POLLIN)
        else:
            got += sock.read(1) or b""
            if got.endswith(b"\n"):
                return got


async def streams():
    where = "connect"
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", options["port"], ssl=context(), server_hostname=options.get("hostname")
        )
        writer.write(options.get("line", "hello").encode() + b"\n")
        where = "drain"
        await writer.drain()
        where = "readline"
        result["line"] = (await reader.readline()).decode()
        if options.get("read"):
            result["rest"] = len(await reader.read())
        writer.close()
        await writer.wait_closed()
    except Exception:
        result["where"] = where
        raise


def sockets():
    s = socket.socket()
    s.connect(socket.getaddrinfo("127.0.0.1", options["port"])[0][-1])
    polling = options.get("deferred", False)
    s.setblocking(not polling)
    ss = context().wrap_socket(
        s, server_hostname=options.get("hostname"), do_handshake_on_connect=not polling
    )
    line = options.get("line", "hello").encode() + b"\n"
    result["line"] = (deferred if polling else blocking)(ss, line).decode()
    result["cipher"] = ss.cipher()
    result["peer"] = len(ss.getpeercert(True) or b"")
    if options.get("read"):
        result["rest"] = len(ss.read())
    ss.close()


result = {}
try:
    if options.get("asyncio"):
        asyncio.run(streams())
    else:
        sockets()
except Exception as e:
    result["error"] = type(e).__name__
    result["args"] = [str(a) if isinstance(a, str) else a for a in e.args]
print(json.dumps(result))
