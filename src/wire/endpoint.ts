import { bech32, bech32m } from "@scure/base";
import { ZephError } from "../errors.ts";

/** A place requests can be sent to: a broker, or one node of the network. */
export interface Endpoint {
  /** Absolute, no trailing slash, normally ending in `/v1` exactly once. See {@link normalizeBaseURL}. */
  readonly baseURL: string;
  /** Bech32 address of the node; every signed request names it. Absent for brokers. */
  readonly address?: string;
  /** Label for people; the host where none was given. */
  readonly name?: string;
}

/** How an endpoint is called in messages: its name, or its host. */
export function endpointLabel(endpoint: Endpoint): string {
  return endpoint.name ?? new URL(endpoint.baseURL).host;
}

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(["localhost", "[::1]"]);

/** True for an address on this computer, where plain http is acceptable. */
export function isLoopback(url: string | URL): boolean {
  const { hostname } = new URL(url);
  return LOOPBACK_HOSTS.has(hostname) || hostname.endsWith(".localhost") || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

/**
 * Brings what a person types to the one form used everywhere: http(s), no query, no fragment, no trailing slash, and
 * exactly one `/v1` at the end. Throws `wrong_url`.
 *
 * @example normalizeBaseURL("node1.example:8000/") // "https://node1.example:8000/v1"
 * @example normalizeBaseURL("127.0.0.1:18080/v1/v1/") // "http://127.0.0.1:18080/v1"
 */
export function normalizeBaseURL(text: string): string {
  if (typeof text !== "string") {
    throw new ZephError("wrong_url", {
      detail: "the address is not text",
      hint: "Give an address like https://host.example/v1.",
    });
  }
  const trimmed = text.trim();
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`);
    // Servers on this computer speak plain http; nobody types the scheme for them.
    if (!trimmed.includes("://") && isLoopback(url)) url = new URL(`http://${trimmed}`);
  } catch (cause) {
    throw new ZephError("wrong_url", {
      detail: "not a URL",
      hint: "Give an address like https://host.example/v1.",
      cause,
    });
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new ZephError("wrong_url", { detail: `${url.protocol}// is not http or https` });
  }
  if (url.username !== "" || url.password !== "") {
    throw new ZephError("wrong_url", { detail: "user and password in the address are not supported" });
  }
  let path = url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "");
  while (path.endsWith("/v1")) path = path.slice(0, -"/v1".length).replace(/\/+$/, "");
  return `${url.origin}${path}/v1`;
}

/** Prefix of account addresses on the main network (gonka-ai/gonka `inference-chain/app/app.go:105`). */
export const DEFAULT_PREFIX = "gonka";

export interface AddressOptions {
  /** Human-readable part of the bech32 address. Default `gonka`. */
  readonly prefix?: string;
}

/** RIPEMD-160 of SHA-256: what an account address holds. */
const ADDRESS_BYTES = 20;

// A "1" would be read as the separator; 51 characters leave room for 20 bytes and the checksum in bech32's 90.
const PREFIX = /^[a-z][a-z02-9]{0,50}$/;

/** Returns the prefix when it can stand in front of an address; throws `invalid_prefix`. */
export function parsePrefix(prefix: string): string {
  if (typeof prefix === "string" && PREFIX.test(prefix)) return prefix;
  throw new ZephError("invalid_prefix", {
    detail: "a prefix is lower-case letters and digits, and begins with a letter",
  });
}

/**
 * Returns the address unchanged when it is one: bech32 (not bech32m), lower case, of this prefix, 20 bytes. Throws
 * `invalid_address`, which names the fault and never repeats the text: people paste keys into the wrong field.
 */
export function parseAddress(address: string, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): string {
  const fault = addressFault(address, parsePrefix(prefix));
  if (fault === undefined) return address;
  throw new ZephError("invalid_address", { detail: fault });
}

/** Whether {@link parseAddress} would accept the text. */
export function isAddress(text: unknown, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): text is string {
  return typeof text === "string" && PREFIX.test(prefix) && addressFault(text, prefix) === undefined;
}

function addressFault(address: string, prefix: string): string | undefined {
  if (typeof address !== "string" || address === "") return "it is empty";
  // The node signs and compares the lower-case spelling, so the upper-case one that bech32 allows is of no use.
  if (address !== address.toLowerCase()) return "it has upper-case letters";
  const decoded = bech32.decodeUnsafe(address, 90);
  if (decoded === undefined) {
    if (bech32m.decodeUnsafe(address, 90) !== undefined) return "it is bech32m; addresses are bech32";
    return address.startsWith(`${prefix}1`)
      ? "its checksum is wrong, so a character is wrong or missing"
      : `it is not a bech32 address that begins with ${prefix}1`;
  }
  if (decoded.prefix !== prefix) return `it does not begin with ${prefix}1`;
  const bytes = bech32.fromWordsUnsafe(decoded.words);
  if (bytes === undefined || bytes.length !== ADDRESS_BYTES) return "it does not hold 20 bytes";
  return undefined;
}
