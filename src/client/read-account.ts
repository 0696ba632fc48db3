import { ZephError } from "../errors/zeph-error.ts";
import { type Account, parseAccount } from "../protocol/accounts.ts";
import { type ReadNodeOptions, readNode } from "./read-node.ts";

/** What a network knows of an address. */
export type AccountState =
  | { readonly kind: "ready"; readonly account: Account }
  /** It exists but has published no key: nodes cannot check its signatures. */
  | { readonly kind: "no-public-key" }
  | { readonly kind: "not-found" };

/**
 * Reads an account from a node: `GET /v2/accounts/{address}`, or `GET /v1/participants/{address}` before v0.2.12.
 * @param source base URL of a node, ending in `/v1`
 */
export async function readAccount(source: string, address: string, reading: ReadNodeOptions): Promise<AccountState> {
  const root = source.slice(0, -"/v1".length);
  try {
    return toState(await readFirst([`${root}/v2/accounts/${address}`, `${source}/participants/${address}`], reading));
  } catch (error) {
    if (!ZephError.is(error) || error.status !== 404) throw error;
    return { kind: /no public key/i.test(error.detail ?? "") ? "no-public-key" : "not-found" };
  }
}

function toState(json: unknown): AccountState {
  const account = parseAccount(json);
  return account.publicKey === undefined ? { kind: "no-public-key" } : { kind: "ready", account };
}

/** A 404 that speaks of the account is an answer; one that speaks of the route sends us to the next. */
async function readFirst(urls: readonly string[], reading: ReadNodeOptions): Promise<unknown> {
  for (const [index, url] of urls.entries()) {
    try {
      return (await readNode(url, reading)).json;
    } catch (error) {
      const isLast = index === urls.length - 1;
      const isRouteMissing =
        ZephError.is(error) && error.status === 404 && !/account/i.test(error.detail?.split("404 ")[1] ?? "");
      if (isLast || !isRouteMissing) throw error;
    }
  }
  throw new ZephError("internal", { detail: "no address to read" });
}
