/** What the gateway looks at in a request. A `Request` is one; a server makes a lighter one of what stands in its socket. */
export interface GatewayRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly headers: HeaderView;
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal;
  readonly body: AsyncIterable<Uint8Array> | null;
  arrayBuffer(): Promise<ArrayBuffer>;
}

export type HeaderView = Pick<Headers, "get" | "has">;
