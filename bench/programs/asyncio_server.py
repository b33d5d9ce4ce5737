"""CPython's asyncio as a server of the bench: a Protocol, its fastest style. Speaks agent.ts's commands `listen`,
`listenHttp` and `usage`; what it does with a connection is in workload.ts."""

import asyncio
import json
import resource
import ssl
import sys

CHUNK = bytes(65536)  # per write in bulk: four full records
ACK = 2**20  # bytes; each such part of an upload is answered with a byte
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + b"e" * 64


class Bench(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.mode = None
        self.taken = 0
        self.sending = False

    def data_received(self, data):
        if self.mode is None:
            self.mode = data[:1]
            if self.mode == b"d":
                self.sending = True
                self.send()
            elif self.mode == b"u":
                data = data[1:]
        if self.mode == b"u":
            before = self.taken // ACK
            self.taken += len(data)
            if self.taken // ACK > before:
                self.transport.write(bytes(self.taken // ACK - before))
        elif self.mode == b"G":
            self.transport.write(ANSWER * data.count(b"\r\n\r\n"))
        elif self.mode != b"d":
            self.transport.write(data)

    def send(self):
        if self.sending:
            self.transport.write(CHUNK)
            asyncio.get_running_loop().call_soon(self.send)  # a turn of the loop, which may tell that the peer left

    def pause_writing(self):
        self.sending = False

    def resume_writing(self):
        if self.mode == b"d":
            self.sending = True
            asyncio.get_running_loop().call_soon(self.send)

    def connection_lost(self, error):
        self.sending = False


servers = []  # kept, or the loop would forget them


async def listen(terms):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = terms["identity"]["files"]
    context.load_cert_chain(files["certificate"], files["key"])
    if "version" in terms:
        exact = ssl.TLSVersion.TLSv1_2 if terms["version"] == "1.2" else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = exact
    server = await asyncio.get_running_loop().create_server(Bench, "127.0.0.1", 0, ssl=context, backlog=1024)
    servers.append(server)
    return server.sockets[0].getsockname()[1]


async def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # clients that hang up in the middle
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        try:
            value = await listen(*arguments) if name in ("listen", "listenHttp") else None
            answer = {"value": value}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
