/**
 * What `wasm/harness/` adds to a core's exports.
 *
 * @module
 */

import { CORE_EXPORTS, type CoreTable } from "../../lib/core.ts";

/** Every function of the harness, with its number of parameters. A test compares it with the module. */
export const HARNESS_EXPORTS = {
  hash_once: 4,
  hash_stream: 6,
  hash_fork: 7,
  hmac: 8,
  hkdf: 9,
  hkdf_label: 9,
  aes_new: 0,
  aes_free: 1,
  aes_setkey: 4,
  aes_ecb: 5,
  aes_cbc: 8,
  ccm_new: 0,
  ccm_free: 1,
  ccm_setkey: 3,
  ccm_encrypt: 10,
  ccm_decrypt: 10,
  gcm_new: 0,
  gcm_free: 1,
  gcm_setkey: 3,
  gcm_encrypt: 10,
  gcm_decrypt: 10,
  gcm_stream: 13,
  chacha20: 8,
  poly1305: 6,
  chachapoly_new: 0,
  chachapoly_free: 1,
  chachapoly_setkey: 2,
  chachapoly_encrypt: 8,
  chachapoly_decrypt: 8,
  chachapoly_stream: 11,
  ecp_keygen: 3,
  ecp_public: 4,
  ecp_mul: 7,
  ecp_mul_unblinded: 3,
  ecp_muladd: 10,
  ecp_check: 3,
  ecdsa_sign: 7,
  ecdsa_sign_unblinded: 5,
  ecdsa_write: 8,
  ecdsa_verify: 9,
  ecdsa_read: 7,
  ecdh_shared: 6,
  ecdh_shared_spki: 6,
  ecdh_exchange: 5,
  psa_shared: 6,
  psa_exchange: 5,
  rsa_new: 0,
  rsa_free: 1,
  rsa_parse: 4,
  rsa_import: 11,
  rsa_export: 4,
  rsa_size: 1,
  rsa_public: 3,
  rsa_private: 3,
  rsa_private_steps: 4,
  rsa_sign: 7,
  rsa_verify: 9,
  rsa_encrypt: 4,
  rsa_decrypt: 5,
  mod_exp_load: 7,
  mod_exp_run: 0,
  mod_exp_result: 2,
  is_prime: 3,
} as const;

/** All functions of a test core. */
export const TEST_CORE_EXPORTS = { ...CORE_EXPORTS, ...HARNESS_EXPORTS } as const;
/** All functions of a test core. */
export type TestCoreExports = CoreTable<typeof TEST_CORE_EXPORTS>;
