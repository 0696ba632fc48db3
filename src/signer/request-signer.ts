/** Placeholder of the shape, replaced by the signer's implementation. */
export interface RequestSigner {
  readonly address: string;
  readonly publicKey: Uint8Array;
  sign(input: { body: Uint8Array; timestampNanos: bigint; transferAddress: string }): string;
}
