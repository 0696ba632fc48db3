/** The two operations of secp256k1 a signer needs. Arguments are validated by the callers. */
export interface Curve {
  readonly name: "wasm" | "javascript";
  /** @returns the compressed point, 33 bytes */
  publicKeyOf(privateKey: Uint8Array): Uint8Array;
  /**
   * ECDSA with the nonce of RFC 6979 (HMAC-SHA-256, no extra entropy) and low s.
   *
   * @param digest 32 bytes, already hashed
   * @returns r ‖ s, 32 bytes each, left-padded
   */
  signDigest(digest: Uint8Array, privateKey: Uint8Array): Uint8Array;
}
