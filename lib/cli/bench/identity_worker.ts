/** Makes the certificate of one key, in a worker. */

import { createCertificate } from "../../certificate.ts";
import { LOCAL_HOSTS } from "../cert.ts";
import type { Identity } from "./identities.ts";
import type { Key } from "./result.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Key>) => void;
  postMessage(identity: Identity): void;
};

scope.onmessage = ({ data: keyType }) => {
  const caKeyType = keyType.startsWith("RSA") ? "RSA-2048" : keyType;
  const ca = createCertificate({ subject: "CN=tlsio bench CA", keyType: caKeyType, isCA: true });
  const subject = `CN=${LOCAL_HOSTS[0]}`;
  const own = createCertificate({ subject, hosts: LOCAL_HOSTS, keyType, issuer: ca });
  scope.postMessage({ ...own, ca: ca.certificate });
};
