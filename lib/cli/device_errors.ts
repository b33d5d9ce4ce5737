/** How the software on a device names what went wrong with a connection. */

import { SSLCertVerificationError, SSLError } from "../errors.ts";
import { OSError } from "../os_error.ts";
import { SSLError as SeedError, toSeedError } from "../ussl_errors.ts";
import { oneLine } from "./terminal.ts";

/** What each signature comes to once one had no memory: see docs/profiles.md. */
const SPOILT = "MBEDTLS_ERR_RSA_PRIVATE_FAILED";

/**
 * What MicroPython prints: `"OSError: (-28160, 'MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE')"`, or where it has a number of its own
 * `"OSError: [Errno 12] ENOMEM"`, with mbedTLS's name behind it. A certificate that is refused is a `ValueError` with mbedTLS's
 * words. What it does not say is behind it, too, such as the alert of the client's.
 */
export function micropythonError(error: unknown): string {
  if (error instanceof SSLCertVerificationError) {
    return `ValueError: ${oneLine(new Error(error.verifyMessage))} (${error.reason})`;
  }
  const raised = toSeedError("wrap_socket", error);
  if (!(raised instanceof OSError)) return oneLine(error);
  const { errno, errorcode } = raised;
  if (raised instanceof SeedError) return `OSError: (${errno}, '${errorcode}')${besides(error)}`;
  const reason = error instanceof SSLError && error.reason !== "" ? ` (${error.reason})` : "";
  return `OSError: [Errno ${errno}] ${errorcode}${reason}`;
}

/** What ESP-IDF logs: `"mbedtls_ssl_handshake: -0x7F00 MBEDTLS_ERR_SSL_ALLOC_FAILED"`. */
export function mbedtlsError(error: unknown): string {
  if (!(error instanceof SSLError) || error.code === 0) return oneLine(error);
  const code = `-0x${(-error.code).toString(16).toUpperCase().padStart(4, "0")}`;
  const words = error instanceof SSLCertVerificationError ? `, ${error.verifyMessage}` : besides(error);
  return `${code} ${error.reason}${words}`;
}

/** What the device does not say. */
function besides(error: unknown): string {
  if (!(error instanceof SSLError)) return "";
  if (error.reason === SPOILT) {
    return ", the key has lost its blinding for want of memory: restart, as the board must";
  }
  return error.alert === undefined ? "" : `, the client says ${error.alert.name}`;
}
