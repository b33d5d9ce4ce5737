// A TLS server on Node; protocol.ts says what it answers. It ends when its standard input does.
// Events: listening, open, failed (the handshake), closed.
import { createHash } from "node:crypto";
import process from "node:process";
import { createServer } from "node:tls";
import { options, parseStep, pattern, Reader, say, write } from "./common.mjs";

const { values, tls } = options({ "client-auth": { type: "string" } });

function info(socket) {
  return {
    version: socket.getProtocol(),
    cipher: socket.getCipher().name,
    resumed: socket.isSessionReused(),
    alpn: socket.alpnProtocol || null,
    sni: socket.servername || null,
    client: (socket.authorized && socket.getPeerCertificate().subject?.CN) || null,
  };
}

/** Serves one connection. Returns whether it is to be closed in order. */
async function serve(socket) {
  const reader = new Reader(socket);
  let line;
  while ((line = await reader.line()) !== null) {
    const { verb, n, seed } = parseStep(line);
    if (verb === "ECHO") {
      for await (const piece of reader.bytes(n)) await write(socket, piece);
    } else if (verb === "SINK") {
      const hash = createHash("sha256");
      for await (const piece of reader.bytes(n)) hash.update(piece);
      await write(socket, hash.digest("hex") + "\n");
    } else if (verb === "SOURCE") {
      for (const piece of pattern(seed, n)) await write(socket, piece);
    } else if (verb === "INFO") {
      await write(socket, JSON.stringify(info(socket)) + "\n");
    } else if (verb === "DROP") {
      return false;
    } else {
      if (verb !== "QUIT") await write(socket, "ERROR\n");
      return true;
    }
  }
  return true;
}

const server = createServer({
  ...tls,
  requestCert: (values["client-auth"] ?? "none") !== "none",
  rejectUnauthorized: values["client-auth"] === "required",
}, async (socket) => {
  let problem;
  socket.on("error", (error) => problem ??= error);
  socket.setNoDelay(true);
  say("open", info(socket));
  try {
    if (await serve(socket)) {
      socket.end();
    } else {
      socket.destroy(); // the TCP connection ends, without close_notify
    }
  } catch (error) {
    problem ??= error;
    socket.destroy();
  }
  say("closed", problem ? { clean: false, error: problem.message } : { clean: true });
});
server.on("tlsClientError", (error) => say("failed", { error: error.message }));
server.listen(0, "127.0.0.1", () => say("listening", { port: server.address().port }));
process.stdin.resume().on("end", () => process.exit());
