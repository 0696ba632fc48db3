import { ZephError } from "../errors/zeph-error.ts";

/** A failed `fetch`, understood. */
export interface NetworkFailure {
  readonly error: ZephError;
  /** False when it is certain that the endpoint never saw the request. */
  readonly requestLeft: boolean;
}

/** Codes of undici and Node that mean: no connection came about, so nothing was sent. */
const BEFORE_CONNECT: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the host name is not known",
  EAI_AGAIN: "the host name could not be looked up now",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no network",
  ETIMEDOUT: "no connection in time",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
  EPROTO: "TLS failed",
  CERT_HAS_EXPIRED: "its TLS certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its TLS certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "its TLS certificate is self-signed",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its TLS certificate cannot be verified",
  ERR_TLS_CERT_ALTNAME_INVALID: "its TLS certificate is for another host",
};

const AFTER_CONNECT: Readonly<Record<string, string>> = {
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  UND_ERR_SOCKET: "the connection was closed without an answer",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
  UND_ERR_BODY_TIMEOUT: "the answer stopped arriving",
};

/** Fetch does not connect to some ports at all (https://fetch.spec.whatwg.org/#port-blocking); undici says so without a code. */
const BAD_PORT = "bad port";

/** Turns what `fetch` rejected with into `unreachable`. Signal reasons must have been told apart before. */
export function readNetworkFailure(thrown: unknown): NetworkFailure {
  const code = findCode(thrown);
  const before = code === undefined ? badPort(thrown) : BEFORE_CONNECT[code];
  const detail = before ?? (code === undefined ? undefined : AFTER_CONNECT[code]) ?? code ?? "no answer";
  return { error: new ZephError("unreachable", { detail, cause: thrown }), requestLeft: before === undefined };
}

function badPort(thrown: unknown): string | undefined {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return cause instanceof Error && cause.message === BAD_PORT ? "fetch refuses to connect to this port" : undefined;
}

/** Fetch wraps the cause, and a host with several addresses gives an AggregateError of causes. */
function findCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if ("code" in thrown && typeof thrown.code === "string" && thrown.code !== "") return thrown.code;
  if (thrown instanceof AggregateError) {
    for (const inner of thrown.errors) {
      const code = findCode(inner);
      if (code !== undefined) return code;
    }
  }
  return findCode(thrown.cause);
}
