import { ZephError } from "../errors/zeph-error.ts";
import { type Endpoint, normalizeBaseURL } from "../protocol/endpoint.ts";
import { brokerFacts } from "./broker-facts.ts";
import type { Connection, NativeConnection } from "./connection.ts";
import { openSigner } from "./open-signer.ts";

/** Usually `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The connection that environment variables describe, by the names of the official SDK (gonka-ai/gonka-openai,
 * typescript/README.md): `GONKA_PRIVATE_KEY` with `GONKA_ENDPOINTS` (`url;address,url;address`) or `GONKA_SOURCE_URL`, and
 * `GONKA_ADDRESS`, which must then be the key's own. Without a private key: GonkaGate, with `GONKAGATE_API_KEY` or
 * `GONKA_API_KEY`.
 *
 * Throws `secret_missing`, `no_endpoints`, `invalid_private_key`, `address_mismatch`, `invalid_address`, `wrong_url`.
 *
 * @example
 * ```ts
 * const client = new OpenAI(gonkaOpenAIOptions(await connectionFromEnvironment(process.env)));
 * ```
 */
export async function connectionFromEnvironment(env: Environment): Promise<Connection> {
  const privateKey = given(env.GONKA_PRIVATE_KEY);
  if (privateKey !== undefined) return nativeConnection(env, privateKey);
  const { baseURL, keyVariables } = brokerFacts({ broker: "gonkagate" });
  const apiKey = keyVariables.map((name) => given(env[name])).find((key) => key !== undefined);
  if (apiKey !== undefined) return { kind: "broker", baseURL, apiKey };
  throw new ZephError("secret_missing", {
    detail: `none of GONKA_PRIVATE_KEY, ${keyVariables.join(", ")} is set`,
    hint: "Set GONKAGATE_API_KEY for a broker, or GONKA_PRIVATE_KEY and GONKA_SOURCE_URL for signed requests.",
  });
}

async function nativeConnection(env: Environment, privateKey: string): Promise<NativeConnection> {
  const signer = await openSigner(privateKey);
  const address = given(env.GONKA_ADDRESS);
  if (address !== undefined && address !== signer.address) {
    throw new ZephError("address_mismatch", {
      detail: `GONKA_ADDRESS is ${address}, but the key of GONKA_PRIVATE_KEY belongs to ${signer.address}`,
    });
  }
  const named = given(env.GONKA_ENDPOINTS);
  if (named !== undefined) return { kind: "native", signer, endpoints: named.split(",").map(parseEndpoint) };
  const sourceUrl = given(env.GONKA_SOURCE_URL);
  if (sourceUrl === undefined) {
    throw new ZephError("no_endpoints", {
      detail: "neither GONKA_ENDPOINTS nor GONKA_SOURCE_URL is set",
      hint: "Set GONKA_SOURCE_URL to a node of the network, or GONKA_ENDPOINTS to url;address pairs.",
    });
  }
  return { kind: "native", signer, sourceUrl };
}

function parseEndpoint(pair: string): Endpoint {
  const [url = "", address = ""] = pair.split(";").map((part) => part.trim());
  if (address === "") {
    throw new ZephError("invalid_address", { detail: `GONKA_ENDPOINTS names no address for ${normalizeBaseURL(url)}` });
  }
  return { baseURL: normalizeBaseURL(url), address };
}

function given(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === "" ? undefined : trimmed;
}
