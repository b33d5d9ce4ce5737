// A TLS client on Node: runs the steps of protocol.ts on one connection or more, and prints a line of JSON for
// each. Every connection after the first tries to resume the first one's session; with --parallel, all connect at
// once and none resumes.
import { createHash } from "node:crypto";
import { once } from "node:events";
import process from "node:process";
import { connect } from "node:tls";
import { options, parseStep, pattern, patternDigest, Reader, write } from "./common.mjs";

const { values, positionals, tls } = options({
  host: { type: "string", default: "127.0.0.1" },
  port: { type: "string" },
  servername: { type: "string" },
  connections: { type: "string", default: "1" },
  parallel: { type: "boolean" },
});

async function runStep(socket, reader, step) {
  const { verb, n, seed } = parseStep(step);
  await write(socket, (verb === "LINE" ? step.slice("LINE ".length) : step) + "\n");
  if (verb === "LINE") {
    const line = await reader.line();
    return { step, ok: line !== null, line };
  }
  if (verb === "INFO") return { step, ok: true, info: JSON.parse(await reader.line()) };
  let sha256;
  const send = async () => {
    for (const piece of pattern(seed, n)) await write(socket, piece);
  };
  if (verb === "SINK") {
    await send();
    sha256 = await reader.line();
  } else if (verb === "ECHO" || verb === "SOURCE") {
    const hash = createHash("sha256");
    const receive = async () => {
      for await (const piece of reader.bytes(n)) hash.update(piece);
    };
    await Promise.all([receive(), verb === "ECHO" ? send() : undefined]);
    sha256 = hash.digest("hex");
  } else {
    return { step, ok: await reader.line() === null };
  }
  return { step, ok: sha256 === patternDigest(seed, n), sha256 };
}

async function runConnection(session) {
  const report = { steps: [] };
  const socket = connect({
    ...tls,
    host: values.host,
    port: Number(values.port),
    servername: values.servername ?? "",
    rejectUnauthorized: values.ca !== undefined,
    session,
    ...(values.servername === undefined ? { checkServerIdentity: () => undefined } : {}),
  });
  // A TLS 1.3 session comes after the handshake, maybe after the first answer.
  let latest;
  const ticket = new Promise((resolve) => socket.on("session", (s) => resolve(latest = s)));
  let problem;
  socket.on("error", (error) => problem ??= error);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  try {
    await once(socket, "secureConnect");
    socket.setNoDelay(true);
    report.version = socket.getProtocol();
    report.cipher = socket.getCipher().name;
    report.resumed = socket.isSessionReused();
    report.alpn = socket.alpnProtocol || null;
    const reader = new Reader(socket);
    for (const step of positionals) report.steps.push(await runStep(socket, reader, step));
    if (session === undefined && values.connections !== "1" && !values.parallel) await ticket;
    socket.end();
    // node:tls does not tell a close_notify from a bare end of the TCP connection.
    report.closed = "ended";
    socket.resume();
    await closed;
  } catch (error) {
    report.error = (problem ?? error).message;
    if ((problem ?? error).code) report.code = (problem ?? error).code;
    socket.destroy();
  }
  console.log(JSON.stringify(report));
  if (report.error !== undefined) process.exit(1);
  return latest;
}

const count = Number(values.connections);
if (values.parallel) {
  await Promise.all(Array.from({ length: count }, () => runConnection()));
} else {
  let session;
  for (let i = 0; i < count; i++) session = await runConnection(session) ?? session;
}
