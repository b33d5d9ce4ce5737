/** `tlsio serve --dashboard`: its flag. What it needs is loaded when it is used. */

import { isIP } from "node:net";
import { parseAddress } from "../ip_address.ts";
import type { Dashboard, DashboardOptions } from "./dashboard/server.ts";
import type { SSLContext } from "../ssl.ts";
import { UsageError, wholeNumber } from "./flags.ts";
import { later } from "./later.ts";

const ADDRESS = "127.0.0.1"; // what a server counts is its owner's business
const PORT = 8444; // behind the server's 8443

/** Flags of `tlsio serve`. */
export const DASHBOARD_FLAGS = {
  "dashboard": {
    value: "<address>",
    optional: true,
    help: `show live figures in a browser (default ${ADDRESS}:${PORT})`,
  },
} as const;

/** Where the dashboard listens. */
export interface DashboardAddress {
  readonly hostname: string;
  readonly port: number;
  /** Whether this machine alone can reach it. */
  readonly isLoopback: boolean;
}

/**
 * Reads the flag: an address of this machine and a port, or one of the two.
 *
 * @throws {UsageError} If it is none.
 */
export function dashboardAddress(value: string | undefined): DashboardAddress | undefined {
  if (value === undefined) return undefined;
  if (value === "-" || /^\d+$/.test(value)) {
    const port = value === "-" ? PORT : wholeNumber("dashboard", value, 0, 65535);
    return { hostname: ADDRESS, port, isLoopback: true };
  }
  const [, v6, other, digits] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(value) ?? [];
  const hostname = v6 ?? (other === "localhost" ? ADDRESS : other) ?? "";
  if (isIP(hostname) !== (v6 === undefined ? 4 : 6)) {
    throw new UsageError(
      `--dashboard takes an address and a port, such as ${ADDRESS}:${PORT}, not "${value}"`,
    );
  }
  const port = digits === undefined ? PORT : wholeNumber("dashboard", digits, 0, 65535);
  return { hostname, port, isLoopback: isLoopback(hostname) };
}

function isLoopback(address: string): boolean {
  const bytes = parseAddress(address)!;
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** Starts the dashboard; TLS is for an address that others can reach. */
export async function openDashboard(
  { hostname, port, isLoopback }: DashboardAddress,
  { ssl, ...rest }: Omit<DashboardOptions, "hostname" | "port"> & { readonly ssl: SSLContext },
): Promise<Dashboard> {
  const { Dashboard } = await later<typeof import("./dashboard/server.ts")>(
    new URL("./dashboard/server.ts", import.meta.url),
  );
  const dashboard = await Dashboard.start({ ...rest, hostname, port, ssl: isLoopback ? undefined : ssl });
  if (!isLoopback) {
    console.error(
      `tlsio serve: the dashboard is not for this machine alone: everybody who reaches ${hostname} port ${dashboard.port} can look`,
    );
  }
  return dashboard;
}
