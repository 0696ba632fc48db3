import { type AddressOptions, DEFAULT_PREFIX } from "./address.ts";
import { readAddress } from "./json/read-address.ts";
import { optional, readAmount, readObject, readText } from "./json/read-value.ts";

/** `GET /v1/identity`: who a node says it is. */
export interface NodeIdentity {
  /** Address that requests to this node must name. */
  readonly address: string;
  /** Latest block the node knows. */
  readonly blockHeight: bigint | undefined;
  /** RFC 3339 time of the statement. */
  readonly timestamp: string | undefined;
  /**
   * Other URLs that claim to work for this node, url → address. No known node sends them, and nothing proves them: they
   * may only be used under the rules that hold for discovered nodes.
   */
  readonly delegates: Readonly<Record<string, string>>;
}

/** Reads `GET /v1/identity`. The signature in it is not checked: a warm key may have made it. Throws `bad_response`. */
export function parseIdentity(value: unknown, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): NodeIdentity {
  const data = readObject(readObject(value, "identity").data, "data");
  const delegates = optional(data.delegate_ta, "data.delegate_ta", readObject) ?? {};
  return {
    address: readAddress(prefix)(data.address, "data.address"),
    blockHeight: optional(data.block, "data.block", readAmount),
    timestamp: optional(data.timestamp, "data.timestamp", readText),
    delegates: Object.fromEntries(
      Object.entries(delegates).map(([url, address]) => [url, readAddress(prefix)(address, "data.delegate_ta")]),
    ),
  };
}
