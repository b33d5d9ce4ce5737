/**
 * What is read of a peer outside of the core: the ClientHello, the first datagram, the head of an HTTP request.
 *
 * @module
 */

import { type Bytes, concat, EMPTY, encodeText } from "../../lib/bytes.ts";
import { readClientHello } from "../../lib/client_hello.ts";
import { TLSConfig } from "../../lib/config.ts";
import { DTLSEngine } from "../../lib/dtls_engine.ts";
import { greet } from "../../lib/dtls_greeting.ts";
import { TLSEngine } from "../../lib/engine.ts";
import { HttpHost } from "../../lib/_http_host.ts";
import { clientOptions, serverOptions } from "../pair.ts";
import { pipe } from "../pipe.ts";
import type { FuzzCore } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import type { Target } from "./target.ts";

function firstFlight(fuzz: FuzzCore, options: Parameters<typeof clientOptions>[0]): Bytes {
  using config = new TLSConfig(clientOptions(options), fuzz.core);
  using engine = new TLSEngine(config, { serverHostname: "localhost" });
  engine.handshake();
  return engine.takeRecords();
}

/** `readClientHello()`. */
export function helloTarget(fuzz: FuzzCore): Target {
  return {
    name: "hello",
    seeds: () => [
      firstFlight(fuzz, {}),
      firstFlight(fuzz, { alpnProtocols: ["h2", "http/1.1"], sslVersion: 0x0303 }),
      firstFlight(fuzz, { groups: ["x25519"], maxFragmentLength: 512 }),
    ],
    run(bytes) {
      try {
        const outcome = readClientHello(bytes);
        if (outcome.state === "need-bytes") {
          if (!(outcome.bytes > 0 && outcome.bytes < 1 << 16)) {
            throw new Finding("hang", `it waits for ${outcome.bytes} bytes`);
          }
          return "need-bytes";
        }
        const { hello } = outcome;
        const lists = [
          hello.versions,
          hello.cipherSuites,
          hello.groups,
          hello.keyShareGroups,
          hello.signatureSchemes,
          hello.pskModes,
        ];
        JSON.stringify([
          lists,
          hello.extensions,
          hello.ja3,
          hello.ja3Hash,
          hello.ja4,
          hello.serverName,
          hello.alpnProtocols,
        ]);
        return `${hello.resumption} ${hello.serverName !== undefined} ${
          lists.map((list) => Math.min(list.length, 3))
        }`;
      } catch (error) {
        return expected(error).message.replaceAll(/\d+/g, "N");
      }
    },
  };
}

/** `greet()`, the first datagram of a client. */
export function greetTarget(fuzz: FuzzCore): Target {
  const server = new TLSConfig(serverOptions({ datagrams: {}, sessionCacheSize: 0 }), fuzz.core);
  const client = new TLSConfig(clientOptions({ datagrams: {} }), fuzz.core);
  const clientId = encodeText("192.0.2.1 5684");
  return {
    name: "greet",
    seeds() {
      fuzz.rewind(1);
      using engine = new DTLSEngine(client, { serverHostname: "localhost" });
      engine.handshake();
      const first = engine.takeDatagrams()[0]!;
      engine.receive(greet(server, first, { clientId }).reply!);
      engine.handshake();
      return [first, engine.takeDatagrams()[0]!];
    },
    run(bytes) {
      fuzz.rewind(1);
      const before = fuzz.core.allocated;
      let outcome = "nothing";
      try {
        const { reply, engine } = greet(server, bytes, { clientId });
        if (reply !== undefined) {
          if (reply.length > bytes.length) {
            throw new Finding("exception", "the answer is longer than the question");
          }
          outcome = "a cookie";
        }
        if (engine !== undefined) {
          using server = engine;
          outcome = server.handshake().state;
          server.takeDatagrams();
        }
      } catch (error) {
        outcome = expected(error).message;
      }
      const leaked = fuzz.core.allocated - before;
      if (leaked !== 0) throw new Finding("leak", `${leaked} bytes of the core's heap`);
      return outcome;
    },
  };
}

const HTTP_LIMITS = {
  maxHeaderSize: 2048,
  maxBodySize: 4096,
  maxRequestsPerSocket: 20,
  headersTimeout: 5,
  requestTimeout: 5,
  keepAliveTimeout: 5,
  sendTimeout: 5,
  lingerTimeout: 0.01,
  minDataRate: 0,
};
const PATIENCE = 10_000; // milliseconds

/** Requests, as `serve()` reads them once TLS is off. */
export function httpTarget(): Target {
  const faults: unknown[] = [];
  const host = new HttpHost(async (request) => {
    const body = await request.bytes();
    return new Response(
      `${request.method} ${new URL(request.url).pathname} ${[...request.headers].length} ${body.length}`,
    );
  }, {
    ...HTTP_LIMITS,
    onError: (error) => {
      faults.push(error);
      return new Response(null, { status: 500 });
    },
  });
  const get = "GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n";
  return {
    name: "http",
    seeds: () =>
      [
        `${get}\r\n`,
        `${get}Accept: */*\r\nCookie: a=b; c=d\r\nConnection: close\r\n\r\n`,
        `POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello${get}\r\n`,
        `POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
        `PUT /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok`,
        `CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n`,
        `${get}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
        "GET http://[::1]:80/ HTTP/1.0\r\n\r\n",
      ].map(encodeText),
    async run(bytes) {
      const [client, server] = pipe();
      const served = host.serve(server);
      let timer;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Finding("hang", "the connection is still open")), PATIENCE);
      });
      try {
        await client.write(bytes).catch(() => {}); // it may be refused before it has read all
        await client.closeWrite().catch(() => {});
        const answer = await Promise.race([late, readAll(client)]);
        await Promise.race([late, served]);
        const codes = [...new TextDecoder("latin1").decode(answer).matchAll(/HTTP\/1\.1 (\d+)/g)].map((
          [, code],
        ) => code);
        // A body that ends early is the client's fault, and an AbortError or a TypeError to the handler.
        const fault = faults.splice(0).map((error) => error instanceof Error ? error.name : typeof error);
        return `${codes.slice(0, 4)} ${fault.slice(0, 2)}`;
      } finally {
        clearTimeout(timer);
        client.abort();
      }
    },
  };
}

async function readAll(from: { read(p: Bytes): Promise<number | null> }): Promise<Bytes> {
  const buffer = new Uint8Array(16384);
  let all: Bytes = EMPTY;
  for (;;) {
    const n = await from.read(buffer).catch(() => null); // a reset is an end, too
    if (n === null) return all;
    all = concat([all, buffer.slice(0, n)]);
  }
}
