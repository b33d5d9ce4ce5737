/** How the software on a device names what went wrong with a connection. */

import { SSLCertVerificationError, SSLError } from "../errors.ts";
import { OSError } from "../os_error.ts";
import { SSLError as SeedError, toSeedError } from "../ussl_errors.ts";
import { oneLine } from "./terminal.ts";

/**
 * What MicroPython raises: `"OSError(12) ENOMEM, MBEDTLS_ERR_SSL_ALLOC_FAILED"`. A certificate that is refused is a
 * `ValueError` with mbedTLS's words, an alert of the client's has its name behind it.
 */
export function micropythonError(error: unknown): string {
  if (error instanceof SSLCertVerificationError) {
    return `ValueError: ${oneLine(new Error(error.verifyMessage))}, ${error.reason}`;
  }
  const raised = toSeedError("wrap_socket", error);
  if (!(raised instanceof OSError)) return oneLine(error);
  const { errno, errorcode } = raised;
  const reason = error instanceof SSLError && !(raised instanceof SeedError) ? error.reason : "";
  return [`OSError(${errno}) ${errorcode}`, reason, alertText(error)].filter((text) => text !== "").join(
    ", ",
  );
}

/** What ESP-IDF logs: `"mbedtls_ssl_handshake: -0x7F00 MBEDTLS_ERR_SSL_ALLOC_FAILED"`. */
export function mbedtlsError(error: unknown): string {
  if (!(error instanceof SSLError) || error.code === 0) return oneLine(error);
  const code = `-0x${(-error.code).toString(16).toUpperCase().padStart(4, "0")}`;
  const text = error instanceof SSLCertVerificationError ? error.verifyMessage : alertText(error);
  return [`${code} ${error.reason}`, text].filter((text) => text !== "").join(", ");
}

function alertText(error: unknown): string {
  return error instanceof SSLError && error.alert !== undefined
    ? `the client's alert is ${error.alert.name}`
    : "";
}
