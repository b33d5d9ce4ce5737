"""The same server as server.py, on asyncio's streams: full duplex, and closed the way asyncio closes."""

import asyncio
import hashlib
import json
import sys

from common import CHUNK, info, parse_step, pattern, say, server_arguments, server_context


async def pieces(reader, n):
    while n > 0:
        data = await reader.read(min(n, CHUNK))
        if not data:
            raise EOFError("end of stream in counted bytes")
        n -= len(data)
        yield data


async def serve(reader, writer):
    """Serves one connection. Returns whether it is to be closed in order."""
    while line := (await reader.readline()).decode().rstrip("\n"):
        verb, n, seed = parse_step(line)
        if verb == "ECHO":
            async for piece in pieces(reader, n):
                writer.write(piece)
                await writer.drain()
        elif verb == "SINK":
            digest = hashlib.sha256()
            async for piece in pieces(reader, n):
                digest.update(piece)
            writer.write(digest.hexdigest().encode() + b"\n")
        elif verb == "SOURCE":
            for piece in pattern(seed, n):
                writer.write(piece)
                await writer.drain()
        elif verb == "INFO":
            writer.write(json.dumps(info(writer.get_extra_info("ssl_object"))).encode() + b"\n")
        elif verb == "DROP":
            return False
        else:
            if verb != "QUIT":
                writer.write(b"ERROR\n")
            return True
    return True


async def connected(reader, writer):
    say("open", **info(writer.get_extra_info("ssl_object")))
    try:
        if await serve(reader, writer):
            writer.close()
            await writer.wait_closed()
        else:
            await writer.drain()
            writer.transport.abort()
        say("closed", clean=True)
    except (OSError, EOFError) as error:
        writer.transport.abort()
        say("closed", clean=False, error=str(error))


async def main():
    args = server_arguments(__doc__).parse_args()
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=server_context(args))
    say("listening", port=server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    end = asyncio.Event()

    def stdin_ready():
        if not sys.stdin.buffer.raw.read(1024):
            end.set()

    loop.add_reader(sys.stdin.fileno(), stdin_ready)
    await end.wait()


asyncio.run(main())
