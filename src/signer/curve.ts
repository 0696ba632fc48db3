/** The operations of secp256k1 that signing needs. Arguments are validated by the callers. */
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
  /** The same signature and the recovery id behind it: r ‖ s ‖ v, 65 bytes. */
  signRecoverable(digest: Uint8Array, privateKey: Uint8Array): Uint8Array;
  /**
   * The key that made a signature, whatever it is.
   *
   * @param signature r ‖ s ‖ v, 65 bytes
   * @returns the compressed point; `undefined` when no key can have made it
   */
  recover(digest: Uint8Array, signature: Uint8Array): Uint8Array | undefined;
}
