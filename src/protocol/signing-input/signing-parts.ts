/** What goes into the signed text besides the protocol generation. */
export interface SigningParts {
  /** The bytes as they go on the wire. Nothing may be parsed and written again between hashing and sending. */
  readonly body: Uint8Array;
  /** The decimal text of `X-Timestamp`; empty where a node leaves it out (header missing, unreadable or not positive). */
  readonly timestamp: string;
  /** Bech32 address of the node that is called. */
  readonly transferAddress: string;
}
