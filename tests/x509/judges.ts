/**
 * What others think of a chain: OpenSSL and GnuTLS by their programs, webpki (rustls in Deno) by a handshake with tlsio.
 *
 * @module
 */
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import { derToPem } from "../../lib/pem.ts";
import { CERT_NONE } from "../../lib/policy.ts";
import { parseAddress } from "../../lib/ip_address.ts";
import { SSLContext } from "../../mod.ts";
import { need, within } from "../peers/process.ts";
import type { Case, Chain, Verdict } from "./cases.ts";
import { type Made, privatePem } from "./maker.ts";

/** `undefined`: it cannot say. */
export type Judge = (one: Case, chain: Chain, folder: string) => Promise<Verdict | undefined>;

const pems = (made: readonly Made[]) => made.map(({ der }) => derToPem(der)).join("");

async function run(program: string, args: string[]): Promise<{ success: boolean; text: string }> {
  const command = new Deno.Command(need(program), { args, stdin: "null", stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await within(command.output(), 20_000, `run ${program}`);
  return { success, text: new TextDecoder("latin1").decode(concat([stdout, stderr])) };
}

async function write(
  folder: string,
  files: Record<string, string | Bytes>,
): Promise<(name: string) => string> {
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeFile(`${folder}/${name}`, typeof text === "string" ? encodeText(text) : text);
  }
  return (name) => `${folder}/${name}`;
}

function isAddress(host: string): boolean {
  return parseAddress(host) !== undefined;
}

const openssl: Judge = async ({ host, role }, { sent, trust, crls = [], options }, folder) => {
  const at = await write(folder, {
    "leaf.pem": pems(sent.slice(0, 1)),
    "chain.pem": pems(sent.slice(1)),
    "trust.pem": pems(trust),
    "crls.pem": crls.map((der) => derToPem(der, "X509 CRL")).join(""),
  });
  const { success } = await run("openssl", [
    ...[
      "verify",
      "-CAfile",
      at("trust.pem"),
      "-no-CApath",
      "-no-CAstore",
      "-partial_chain",
      "-auth_level",
      "2",
    ],
    ...(sent.length > 1 ? ["-untrusted", at("chain.pem")] : []),
    ...["-purpose", role === "client" ? "sslserver" : "sslclient"],
    ...(role === "server"
      ? []
      : [isAddress(host) ? "-verify_ip" : "-verify_hostname", host.replace(/\.$/, "")]),
    ...(crls.length === 0 ? [] : ["-CRLfile", at("crls.pem")]),
    ...(crls.length === 0 ? [] : [options?.crlCheck === "chain" ? "-crl_check_all" : "-crl_check"]),
    at("leaf.pem"),
  ]);
  return success ? "accept" : "reject";
};

const gnutls: Judge = async ({ host, role }, { sent, trust, crls = [] }, folder) => {
  const at = await write(folder, {
    "sent.pem": pems(sent),
    "trust.pem": pems(trust),
    "crls.pem": crls.map((der) => derToPem(der, "X509 CRL")).join(""),
  });
  const { success } = await run("certtool", [
    ...["--verify", "--load-ca-certificate", at("trust.pem"), "--infile", at("sent.pem")],
    ...["--verify-purpose", role === "client" ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2"],
    ...["--verify-profile", "medium"],
    ...(role === "server" ? [] : ["--verify-hostname", host.replace(/\.$/, "")]),
    ...(crls.length === 0 ? [] : ["--load-crl", at("crls.pem")]),
  ]);
  return success ? "accept" : "reject";
};

/** A handshake: the chain must be one that our server loads. */
const webpki: Judge = async ({ host, role, byHand }, { sent, trust, crls }) => {
  if (role === "server" || crls !== undefined || byHand) return undefined;
  let context: SSLContext;
  try {
    context = await SSLContext.create({
      serverSide: true,
      certReqs: CERT_NONE,
      certfile: encodeText(pems(sent)),
      keyfile: encodeText(privatePem(sent[0]!.key)),
    });
  } catch {
    return undefined;
  }
  using _ = context;
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const conn = await listener.accept();
    const socket = await context.wrapSocket(conn).catch(() => undefined);
    socket?.abort();
  })();
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port });
  let conn: Deno.TlsConn | undefined;
  try {
    conn = await Deno.startTls(tcp, { hostname: host, caCerts: trust.map(({ der }) => derToPem(der)) });
    await within(conn.handshake(), 20_000, "shake hands with rustls");
    return "accept";
  } catch (error) {
    if (error instanceof TypeError) return undefined; // it does not take the host's name
    return "reject";
  } finally {
    try {
      (conn ?? tcp).close();
    } catch { // a handshake that fails closes it, in part
    }
    await serving;
  }
};

export const JUDGES: Readonly<Record<string, Judge>> = { OpenSSL: openssl, GnuTLS: gnutls, webpki };
