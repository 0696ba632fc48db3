import { ZephError } from "../errors/zeph-error.ts";

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
