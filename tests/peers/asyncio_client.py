"""The same client as client.py, on asyncio's streams. asyncio cannot resume, so each connection is a full one."""

import asyncio
import hashlib
import json
import ssl
import sys

from common import CHUNK, client_arguments, client_context, parse_step, pattern, pattern_digest


async def send(writer, out):
    for piece in out:
        writer.write(piece)
        await writer.drain()


async def receive(reader, n):
    digest = hashlib.sha256()
    while n > 0:
        data = await reader.read(min(n, CHUNK))
        if not data:
            raise EOFError("end of stream in counted bytes")
        digest.update(data)
        n -= len(data)
    return digest.hexdigest()


async def run_step(reader, writer, step):
    verb, n, seed = parse_step(step)
    wire = step[len("LINE ") :] if verb == "LINE" else step
    writer.write(wire.encode() + b"\n")
    if verb in ("ECHO", "SOURCE"):
        out = pattern(seed, n) if verb == "ECHO" else ()
        digest, _ = await asyncio.gather(receive(reader, n), send(writer, out))
        return {"step": step, "ok": digest == pattern_digest(seed, n), "sha256": digest}
    if verb == "SINK":
        await send(writer, pattern(seed, n))
    line = (await reader.readline()).decode().rstrip("\n")
    if verb == "SINK":
        return {"step": step, "ok": line == pattern_digest(seed, n), "sha256": line}
    if verb == "INFO":
        return {"step": step, "ok": True, "info": json.loads(line)}
    if verb == "LINE":
        return {"step": step, "ok": line != "", "line": line}
    return {"step": step, "ok": line == ""}


async def connect(args, ctx):
    report = {"steps": []}
    try:
        reader, writer = await asyncio.open_connection(
            args.host, args.port, ssl=ctx, server_hostname=args.servername or ""
        )
        tls = writer.get_extra_info("ssl_object")
        report |= {"version": tls.version(), "cipher": tls.cipher()[0], "resumed": tls.session_reused}
        report |= {"alpn": tls.selected_alpn_protocol()}
        for step in args.steps:
            report["steps"].append(await run_step(reader, writer, step))
        writer.close()
        await writer.wait_closed()
        report["closed"] = "ended"  # asyncio does not tell a close_notify from a bare end
    except (OSError, EOFError, ssl.SSLError) as error:
        report["error"] = str(error)
    print(json.dumps(report), flush=True)
    return "error" not in report


async def main():
    args = client_arguments(__doc__).parse_args()
    ctx = client_context(args)
    for _ in range(args.connections):
        if not await connect(args, ctx):
            sys.exit(1)


asyncio.run(main())
