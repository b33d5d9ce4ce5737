/** watchCertificates(): renewed files, and no connection is dropped. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  createCertificate,
  openConnection,
  peerCertificate,
  type Server,
  SSLContext,
  type SSLSocket,
  startServer,
  watchCertificates,
  WorkerServer,
} from "tlsio";
import { tempDir } from "./peers.ts";
import { eventually, test } from "./sockets.ts";

const ROOT = createCertificate({ subject: "CN=Watch Root", isCA: true });
const NEVER = { checkEvery: 3600 };

function renewed() {
  return createCertificate({ subject: "CN=localhost", hosts: ["localhost"], issuer: ROOT });
}

/** A folder with a certificate and its key, and a server that sends lines back. */
async function start() {
  const dir = await tempDir();
  const files = { certfile: `${dir.path}/cert.pem`, keyfile: `${dir.path}/key.pem` };
  const write = async ({ certificate, key }: ReturnType<typeof renewed>) => {
    await Deno.writeTextFile(files.certfile, certificate);
    await Deno.writeTextFile(files.keyfile, key);
    return peerCertificate(new TextEncoder().encode(certificate)).serialNumber;
  };
  const first = await write(renewed());
  const server = await startServer(async (reader, writer) => {
    for await (const line of reader) {
      writer.write(line);
      await writer.drain();
    }
    writer.close();
  }, { hostname: "127.0.0.1", port: 0, ssl: files });
  const close = async () => {
    await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  };
  return { dir: dir.path, files, write, first, server, [Symbol.asyncDispose]: close };
}

/** A connection that has had an answer, and the certificate that it was shown. */
async function visit(server: Pick<Server, "addr">, caCerts: string | SSLContext = ROOT.certificate) {
  const ssl = caCerts instanceof SSLContext ? caCerts : { caCerts };
  const { port } = server.addr as Deno.NetAddr;
  const address = { hostname: "127.0.0.1", port, serverHostname: "localhost" };
  const [reader, writer] = await openConnection({ ...address, ssl });
  const talk = async () => {
    writer.write("hello\n");
    assertEquals(new TextDecoder().decode(await reader.readline()), "hello\n");
  };
  await talk();
  const tls = writer.transport as SSLSocket;
  const close = async () => {
    writer.close();
    await writer.waitClosed();
  };
  return { talk, tls, serial: tls.getpeercert()?.serialNumber, [Symbol.asyncDispose]: close };
}

test("watchCertificates(): new connections have renewed files, live ones go on, sessions are resumed", async () => {
  await using site = await start();
  let renewals = 0;
  const onRenewed = () => renewals++;
  await using _watch = await watchCertificates(site.server, site.files, { ...NEVER, onRenewed });
  assertEquals(renewals, 0);
  const { MemorySessionStore } = await import("tlsio");
  using context = await SSLContext.create({
    caCerts: ROOT.certificate,
    sessionStore: new MemorySessionStore(),
  });
  await using before = await visit(site.server, context);
  assertEquals(before.serial, site.first);
  const second = await site.write(renewed());
  await eventually(() => renewals === 1); // told by the system
  await before.talk();
  await using after = await visit(site.server);
  assertEquals(after.serial, second);
  await using again = await visit(site.server, context);
  assertEquals(again.tls.sessionReused, true);
  assertEquals(site.server.stats.handshakeFailures, 0);
});

test("watchCertificates(): files that do not fit change nothing, until they do; each error is told once", async () => {
  await using site = await start();
  const errors: string[] = [];
  let renewals = 0;
  await using watch = await watchCertificates(site.server, site.files, {
    ...NEVER,
    onError: (error) => errors.push(String(error)),
    onRenewed: () => renewals++,
  });
  const next = renewed();
  await Deno.writeTextFile(site.files.certfile, next.certificate); // its key is not there yet
  await watch.check();
  await watch.check();
  assertEquals([errors.length, renewals], [1, 0], errors.join("\n"));
  assertMatch(errors[0]!, /does not match the certificate/);
  await using same = await visit(site.server);
  assertEquals(same.serial, site.first);
  await Deno.remove(site.files.keyfile);
  await watch.check();
  assertMatch(errors.at(-1)!, /NotFound: Cannot load keyfile .*: no such file/);
  const second = await site.write(next);
  await watch.check();
  await using after = await visit(site.server);
  assertEquals([after.serial, renewals], [second, 1]);
});

test("watchCertificates(): sees a folder that is another one now, by the clock, too (Kubernetes)", async () => {
  await using site = await start();
  const mount = `${site.dir}/mount`;
  const version = async (name: string) => {
    const { certificate, key } = renewed();
    await Deno.mkdir(`${mount}/${name}`, { recursive: true });
    await Deno.writeTextFile(`${mount}/${name}/tls.crt`, certificate);
    await Deno.writeTextFile(`${mount}/${name}/tls.key`, key);
    await Deno.symlink(name, `${mount}/${name}.link`);
    await Deno.rename(`${mount}/${name}.link`, `${mount}/..data`);
    return peerCertificate(new TextEncoder().encode(certificate)).serialNumber;
  };
  await version("one");
  for (const name of ["tls.crt", "tls.key"]) await Deno.symlink(`..data/${name}`, `${mount}/${name}`);
  const files = { certfile: `${mount}/tls.crt`, keyfile: `${mount}/tls.key` };
  let renewals = 0;
  const options = { checkEvery: 0.1, onRenewed: () => renewals++ };
  await using _watch = await watchCertificates(site.server, files, options);
  const two = await version("two");
  await eventually(() => renewals === 1);
  await using after = await visit(site.server);
  assertEquals(after.serial, two);
});

test("watchCertificates(): sees what certbot, editors and scripts do to files, each time", async () => {
  await using site = await start();
  const archive = `${site.dir}/archive`;
  const live = `${site.dir}/live`;
  for (const folder of [archive, live]) await Deno.mkdir(folder);
  const files = { certfile: `${live}/cert.pem`, keyfile: `${live}/key.pem` };
  let n = 0;
  const archived = async () => { // a new file, and a link to it that takes the place of the one before
    const { certificate, key } = renewed();
    n++;
    for (const [name, text] of [["cert", certificate], ["key", key]] as const) {
      await Deno.writeTextFile(`${archive}/${name}${n}.pem`, text);
      await Deno.symlink(`../archive/${name}${n}.pem`, `${live}/${name}.new`);
      await Deno.rename(`${live}/${name}.new`, `${live}/${name}.pem`);
    }
    return certificate;
  };
  const replaced = async () => { // a file that takes the place of the one before
    const { certificate, key } = renewed();
    for (const [name, text] of [["key", key], ["cert", certificate]] as const) {
      await Deno.writeTextFile(`${live}/${name}.tmp`, text);
      await Deno.rename(`${live}/${name}.tmp`, `${live}/${name}.pem`);
    }
    return certificate;
  };
  const rewritten = async () => { // piece by piece, with a pause in the middle of a line
    const { certificate, key } = renewed();
    for (const [name, text] of [["cert", certificate], ["key", key]] as const) {
      await Deno.writeTextFile(`${live}/${name}.pem`, text.slice(0, 200));
      await new Promise((resolve) => setTimeout(resolve, 400)); // longer than it waits for more
      await Deno.writeTextFile(`${live}/${name}.pem`, text.slice(200), { append: true });
    }
    return certificate;
  };
  const gone = async () => { // it is away for a while
    for (const name of ["cert", "key"]) await Deno.remove(`${live}/${name}.pem`);
    await new Promise((resolve) => setTimeout(resolve, 400));
    return await replaced();
  };
  await archived();
  await using server = await startServer(async (reader, writer) => {
    writer.write(await reader.readline());
    await writer.drain();
  }, { hostname: "127.0.0.1", port: 0, ssl: files });
  let renewals = 0;
  const options = { ...NEVER, onRenewed: () => renewals++, onError: () => {} };
  await using _watch = await watchCertificates(server, files, options);
  for (const change of [archived, replaced, rewritten, gone, archived]) {
    const before = renewals;
    const certificate = await change();
    await eventually(() => renewals > before);
    const { serialNumber } = peerCertificate(new TextEncoder().encode(certificate));
    let shown: string | undefined;
    for (let i = 0; i < 50 && shown !== serialNumber; i++) {
      await using client = await visit(server);
      shown = client.serial;
    }
    assertEquals(shown, serialNumber, change.name);
  }
  assertEquals(server.stats.handshakeFailures, 0);
});

test("watchCertificates(): watches the folders of its files, not all that is below them", async () => {
  if (Deno.build.os !== "linux") return; // /proc says what is watched
  await using site = await start();
  for (let i = 0; i < 40; i++) await Deno.mkdir(`${site.dir}/below/${i}`, { recursive: true });
  const watched = async () => {
    let lines = 0;
    for await (const { name } of Deno.readDir("/proc/self/fdinfo")) {
      const text = await Deno.readTextFile(`/proc/self/fdinfo/${name}`).catch(() => "");
      lines += text.match(/^inotify /gm)?.length ?? 0;
    }
    return lines;
  };
  const before = await watched();
  await using _watch = await watchCertificates(site.server, site.files, NEVER);
  assertEquals(await watched() - before, 1);
});

test("watchCertificates(): an error that comes again after the files were right is told again", async () => {
  await using site = await start();
  const errors: string[] = [];
  const onError = (error: unknown) => errors.push(String(error));
  await using watch = await watchCertificates(site.server, site.files, { ...NEVER, onError });
  const key = await Deno.readTextFile(site.files.keyfile);
  for (let i = 1; i <= 2; i++) {
    await Deno.remove(site.files.keyfile);
    await watch.check();
    await watch.check();
    assertEquals(errors.length, i, errors.join("\n"));
    await Deno.writeTextFile(site.files.keyfile, key); // the one that the server has
    await watch.check();
  }
  await site.server[Symbol.asyncDispose]();
  await site.write(renewed());
  await watch.check(); // of a server that is closed
  assertMatch(errors.at(-1)!, /the server is closed/);
});

test("watchCertificates(): under load no connection is dropped", async () => {
  await using site = await start();
  let renewals = 0;
  const onRenewed = () => renewals++;
  await using watch = await watchCertificates(site.server, site.files, { ...NEVER, onRenewed });
  using context = await SSLContext.create({ caCerts: ROOT.certificate });
  const shown = new Set<string | undefined>();
  let isRunning = true;
  const load = async () => {
    while (isRunning) {
      await using client = await visit(site.server, context);
      await client.talk();
      shown.add(client.serial);
    }
  };
  const loads = Array.from({ length: 4 }, load);
  await eventually(() => shown.size > 0); // the first certificate, too
  for (let i = 0; i < 10; i++) {
    const serial = await site.write(renewed());
    await watch.check();
    await eventually(() => shown.has(serial));
  }
  isRunning = false;
  await Promise.all(loads);
  assertEquals([site.server.stats.handshakeFailures, site.server.stats.failures], [0, {}]);
  assert(renewals >= 10 && shown.size >= 11, `${renewals} renewals, ${shown.size} certificates`);
});

test("watchCertificates(): workers go on with renewed files", async () => {
  await using site = await start();
  const module = `data:text/javascript,${
    encodeURIComponent("export default async (r, w) => { w.write(await r.readline()); await w.drain(); }")
  }`;
  const server = await startServer(module, { workers: 1, hostname: "127.0.0.1", port: 0, ssl: site.files });
  assert(server instanceof WorkerServer);
  await using _server = server;
  await using watch = await watchCertificates(server, site.files, NEVER);
  const second = await site.write(renewed());
  await watch.check();
  await using after = await visit(server);
  assertEquals(after.serial, second);
});

test("watchCertificates(): refuses what it cannot watch", async () => {
  await using site = await start();
  const { certificate, key } = renewed();
  const inMemory = { certfile: certificate, keyfile: key };
  await assertRejects(
    () => watchCertificates(site.server, inMemory),
    TypeError,
    "no option is the path of a file",
  );
  const none = {} as Server;
  await assertRejects(() => watchCertificates(none, site.files), TypeError, "one with setContext()");
  const wrong = { checkEvery: 0 };
  await assertRejects(() => watchCertificates(site.server, site.files, wrong), RangeError, "checkEvery");
});
