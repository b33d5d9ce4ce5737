"""A server that starts in the clear: it greets, answers STARTTLS by OK and TLS, WHO by the CN of the client's certificate,
and sends every other line back in capitals.

It ends when its standard input does.
"""

import asyncio
import sys

from common import say, server_arguments, server_context


async def main():
    args = server_arguments(__doc__).parse_args()
    ctx = server_context(args)

    async def connected(reader, writer):
        writer.write(b"HELLO\n")
        while line := await reader.readline():
            if line == b"STARTTLS\n":
                writer.write(b"OK\n")
                await writer.start_tls(ctx)
            elif line == b"WHO\n":
                cert = writer.get_extra_info("peercert") or {}
                names = [value for part in cert.get("subject", ()) for key, value in part if key == "commonName"]
                writer.write(f"{names}\n".encode())
            else:
                writer.write(line.upper())
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    say("listening", port=server.sockets[0].getsockname()[1])
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), end.set)
    await end.wait()


asyncio.run(main())
