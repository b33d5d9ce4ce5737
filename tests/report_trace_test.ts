/** The page of `tlsio trace --html`: what it says, and what it must not do. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type TracedConnection, tracePage } from "../lib/cli/report/trace_page.ts";
import { handshakeEvents, message, record } from "./trace_samples.ts";
import { assertSound, HOSTILE, parse, tableOf, textOf, textsOf } from "./report_pages.ts";

const connection = (changes: Partial<TracedConnection> = {}): TracedConnection => ({
  ...{ name: "full", role: "client", events: handshakeEvents() },
  ...changes,
});

Deno.test("trace --html: the messages in order, with sizes and times, each in its flight", async () => {
  const root = assertSound(
    await tracePage({ title: "example.com:443", connections: [connection({ connectMs: 61.2 })] }),
  );
  assertEquals(textsOf(root, "h1"), ["example.com:443"]);
  assertEquals(tableOf(root, "Messages"), [
    ["client_hello", "client", "0.000", "235", "no"],
    ["server_hello", "server", "60.100", "122", "no"],
    ["certificate", "server", "60.200", "461", "yes"],
    ["finished", "server", "60.300", "36", "yes"],
    ["finished", "client", "61.000", "36", "yes"],
    ["application_data × 3", "client", "62.000", "300", "yes"],
    ["new_session_ticket", "server", "120.000", "169", "yes"],
    ["alert: close_notify", "server", "121.000", "2", "yes"],
  ]);
  const [value, trips, up, down, certificates] = textsOf(root, ".tiles li");
  assertEquals([value, trips], [
    "Handshake 61 ms after 61.2 ms for TCP's connection",
    "Round trips 1 until the client may send",
  ]);
  assertEquals([up, down], ["Client to server 298 B 2 records", "Server to client 690 B 3 records"]);
  assertEquals(certificates, "Certificates 461 B of these bytes");
  const drawn = textsOf(root.querySelector("#c1-sequence .wide")!, "svg text");
  assertEquals(drawn.filter((text) => /on the wire/.test(text)), [
    "240 B on the wire, 1 record",
    "60.0 ms later: 690 B on the wire, 3 records",
    "0.7 ms later: 424 B on the wire, 4 records",
    "56.0 ms later: 222 B on the wire, 2 records",
  ]);
  assertEquals(drawn.filter((text) => /complete/.test(text)), ["handshake complete, 61.0 ms"]);
  assertEquals(drawn.indexOf("(traced here)") > 0, true);
});

Deno.test("trace --html: the server's view has the same arrows the other way round", async () => {
  const events = handshakeEvents().map((event) => ({
    ...event,
    direction: event.direction === "sent" ? "received" as const : "sent" as const,
  }));
  const [client, server] = await Promise.all([
    tracePage({ title: "t", connections: [connection()] }),
    tracePage({ title: "t", connections: [connection({ role: "server", events })] }),
  ]);
  assertEquals(tableOf(parse(server), "Messages"), tableOf(parse(client), "Messages"));
});

Deno.test("trace --html: a failure is said; where nothing passed there is no drawing", async () => {
  const events = [
    message(0, "sent", "client_hello", 235),
    record(0.1, "sent", 240),
    record(50, "received", 7),
    {
      ...message(50, "received", "handshake_failure", 2),
      contentType: "alert" as const,
      level: "fatal" as const,
    },
  ];
  const root = assertSound(
    await tracePage({
      title: "t",
      connections: [
        connection({ name: "refused", events, error: "the peer refused" }),
        connection({ name: "nobody there", events: [], error: "connection refused" }),
      ],
    }),
  );
  assertEquals(textsOf(root, "h2"), ["refused", "nobody there"]);
  assertEquals(textsOf(root, ".notice"), ["It failed: the peer refused", "It failed: connection refused"]);
  assertEquals(tableOf(root, "Messages").at(-1)![0], "fatal alert: handshake_failure");
  assertStringIncludes(textOf(root), "No record passed");
  assertStringIncludes(textOf(root.querySelector(".tiles")), "not complete");
  assertEquals([...root.querySelectorAll("figure")].length, 2);
  assertStringIncludes(
    textOf(assertSound(await tracePage({ title: "t", connections: [] }))),
    "No connection was traced",
  );
});

Deno.test("trace --html: nothing of a peer's text is markup, and of an event nothing but what a trace has", async () => {
  const secret = "c0ffee-c0ffee";
  const events = handshakeEvents().map((event) => ({
    ...event,
    ...(event.name && { name: HOSTILE }),
    secret,
    data: [secret],
  }));
  const page = await tracePage({
    title: HOSTILE,
    date: HOSTILE,
    notes: [HOSTILE],
    connections: [1, 2].map(() =>
      connection({ name: HOSTILE, events, error: HOSTILE, facts: [[HOSTILE, HOSTILE]] })
    ),
  });
  const root = assertSound(page);
  assertEquals(page.includes(secret), false);
  assertStringIncludes(textOf(root.querySelector("h1")), "<script>alert(1)</script>");
});

Deno.test("trace --html: of a connection with many messages the drawing has the first, the table more", async () => {
  const events = [...handshakeEvents()];
  for (let i = 0; i < 2500; i++) {
    const direction = i % 2 === 0 ? "sent" : "received";
    events.push(
      { ...message(200 + i, direction, undefined, 10), contentType: "application_data" },
      record(200 + i, direction, 32),
    );
  }
  const root = assertSound(await tracePage({ title: "t", connections: [connection({ events })] }));
  assertEquals(tableOf(root, "Messages").length, 2000);
  assertStringIncludes(textOf(root), "508 more messages are not listed");
  assertStringIncludes(textOf(root.querySelector("figcaption")), "The first 150 messages of 2508");
});
