/** What a handshake with another program costs the network, against the bytes that passed: rustls puts several messages in a record. */
import { assert, assertEquals } from "@std/assert";
import { networkCost } from "../lib/cost/network_cost.ts";
import { wrapSocket } from "../lib/ssl.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { CLIENT, CREDENTIAL, test, VERSIONS } from "./sockets.ts";

/** A connection whose bytes are counted, each way. */
function counted(conn: Deno.TcpConn) {
  const bytes = { up: 0, down: 0 };
  return {
    bytes,
    duplex: {
      async read(buffer: Uint8Array) {
        const n = await conn.read(buffer);
        bytes.down += n ?? 0;
        return n;
      },
      async write(data: Uint8Array) {
        const n = await conn.write(data);
        bytes.up += n;
        return n;
      },
      close: () => conn.close(),
    },
  };
}

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`networkCost: a handshake with Deno's own TLS: all bytes that passed (${version})`, async () => {
    using listener = Deno.listenTls({
      ...{ hostname: "127.0.0.1", port: 0 },
      ...{ cert: CREDENTIAL.certfile, key: CREDENTIAL.keyfile },
    });
    const answered = (async () => {
      using conn = await listener.accept();
      const buffer = new Uint8Array(10);
      await conn.write(buffer.subarray(0, await conn.read(buffer) ?? 0));
      await conn.read(buffer); // until the client closes
    })();
    const events: TraceEvent[] = [];
    const { duplex, bytes } = counted(
      await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    );
    const socket = await wrapSocket(duplex, {
      ...{ ...CLIENT, sslVersion, measure: true },
      trace: (event) => events.push(event),
    });
    await socket.write(new Uint8Array(5));
    assertEquals(await socket.read(new Uint8Array(10)), 5);
    const { up, down, flights, roundTrips, complete, rest } = networkCost(events);
    assertEquals([up.bytes + rest.up.bytes, down.bytes + rest.down.bytes], [bytes.up, bytes.down]);
    assertEquals([rest.up.dataBytes, rest.down.dataBytes], [5, 5]);
    assertEquals([complete, roundTrips], [true, version === "TLSv1.2" ? 2 : 1]);
    assertEquals(flights.length, version === "TLSv1.2" ? 4 : 3);
    assert(down.certificateBytes > 500 && down.bytes > down.certificateBytes);
    const { handshake, total } = socket.cost();
    assertEquals([total.up.bytes, total.down.bytes], [bytes.up, bytes.down]);
    assertEquals(handshake.operations!["P-256 verify"], 2); // the leaf's certificate, and its own signature
    await socket.close();
    assertEquals(socket.cost().total.up.bytes, bytes.up);
    await answered.catch(() => {});
  });
}
