import { ZephError } from "../errors/zeph-error.ts";
import { type Endpoint, normalizeBaseURL } from "../protocol/endpoint.ts";
import { parseAddress } from "../protocol/parse-address.ts";
import type { NodeAddress, Nodes } from "./connection.ts";
import { usableEndpoints } from "./endpoint-source.ts";

/**
 * The nodes that a caller names, in the one form used everywhere. Throws `wrong_url`, and `invalid_address` for a node
 * whose address is missing or none of this network; for a discovery also `native_closed` and `no_endpoints`.
 */
export function readNodes(nodes: Nodes, prefix: string): readonly Endpoint[] {
  const list = "endpoints" in nodes ? usableEndpoints(nodes) : nodes;
  // A node named twice is one node: it must not be asked a second time for what it refused.
  return [...new Map(list.map((node) => readNodeAddress(node, prefix)).map((node) => [toKey(node), node])).values()];
}

function toKey({ baseURL, address }: Endpoint): string {
  return `${baseURL} ${address}`;
}

function readNodeAddress(node: Endpoint | NodeAddress, prefix: string): Endpoint {
  const { url, address = "", name, ...rest }: Partial<Endpoint & NodeAddress> = node;
  const baseURL = normalizeBaseURL(url ?? rest.baseURL ?? "");
  try {
    return { baseURL, address: parseAddress(address, { prefix }), ...(name === undefined ? {} : { name }) };
  } catch (error) {
    if (!ZephError.is(error) || error.code !== "invalid_address") throw error;
    throw new ZephError("invalid_address", { detail: `node ${new URL(baseURL).host}: ${error.detail}` });
  }
}
