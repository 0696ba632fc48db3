import { ZephError } from "../errors/zeph-error.ts";

/** A failed `fetch`, understood. */
export interface NetworkFailure {
  readonly error: ZephError;
  /** False when it is certain that the endpoint never saw the request. */
  readonly requestLeft: boolean;
  /** Where it broke: finding and connecting to the host, TLS, or after the request may have been sent. */
  readonly stage: "connect" | "tls" | "sent";
}

/** Codes of undici and Node that mean: no connection came about, so nothing was sent. */
const CONNECT: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the host name is not known",
  EAI_AGAIN: "the host name could not be looked up now",
  EHOSTUNREACH: "no route to the host",
  EHOSTDOWN: "the host is down",
  ENETUNREACH: "no network",
  ENETDOWN: "no network",
  ETIMEDOUT: "no connection in time",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
};

const SENT: Readonly<Record<string, string>> = {
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  UND_ERR_SOCKET: "the connection was closed without an answer",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
  UND_ERR_BODY_TIMEOUT: "the answer stopped arriving",
};

interface Words {
  readonly detail: string;
  readonly hint: string;
}

const UNKNOWN_ISSUER: Words = {
  detail: "its TLS certificate is signed by an authority that Node does not know",
  hint:
    "Where a company's network or your own server signs with its own authority, name that authority's certificate and " +
    "run the command again: NODE_EXTRA_CA_CERTS=/path/to/ca.pem. Anywhere else, do not go on: somebody may be listening.",
};

const PLAIN_PORT: Words = {
  detail: "this port does not speak TLS",
  hint: "Correct base_url: the port of https, or, for a server on this computer, http:// instead of https://.",
};

/** Why TLS did not come about, by codes of Node and OpenSSL; nothing was sent. */
const TLS: Readonly<Record<string, Words>> = {
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  CERT_UNTRUSTED: UNKNOWN_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: { ...UNKNOWN_ISSUER, detail: "its TLS certificate is self-signed" },
  CERT_HAS_EXPIRED: {
    detail: "its TLS certificate has expired",
    hint: "Check this computer's date; where that is right, the server's operator has to renew the certificate.",
  },
  CERT_NOT_YET_VALID: {
    detail: "its TLS certificate is not valid yet",
    hint: "Check this computer's date; where that is right, the server's operator has to correct the certificate.",
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    detail: "its TLS certificate is for another host",
    hint: "Correct base_url: its host has to be one that the certificate names.",
  },
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN_PORT,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PLAIN_PORT,
  ERR_SSL_HTTP_REQUEST: PLAIN_PORT,
};

const OTHER_TLS = /^(?:ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|EPROTO$|UND_ERR_PRX_TLS$)/;

const NOT_HTTP: Words = {
  detail: "what came back is not HTTP",
  hint: "Correct base_url: scheme and port have to be those of the API; a port of https wants https://.",
};

/** Fetch does not connect to some ports at all (https://fetch.spec.whatwg.org/#port-blocking); undici says so without a code. */
const BAD_PORT = "bad port";

/**
 * Turns what `fetch` rejected with into `unreachable`, in words for each cause. An error of ours, which the fetch that was
 * given can throw (a proxy that does not answer), stays as it is. Signal reasons must have been told apart before.
 */
export function readNetworkFailure(thrown: unknown): NetworkFailure {
  if (ZephError.is(thrown)) return { error: thrown, requestLeft: false, stage: "connect" };
  const code = findCode(thrown);
  const { stage, ...words } = explain(code, thrown);
  return { error: new ZephError("unreachable", { ...words, cause: thrown }), requestLeft: stage === "sent", stage };
}

/** Whether a body could not be decoded: what came is not in the coding that its header names. */
export function isDecodingFailure(thrown: unknown): boolean {
  return /^(?:Z_|ERR_(?:_ERROR_FORMAT|BROTLI))/.test(findCode(thrown) ?? "");
}

function explain(code: string | undefined, thrown: unknown): Pick<NetworkFailure, "stage"> & Partial<Words> {
  if (code === undefined) {
    const detail = badPort(thrown);
    return detail === undefined ? { stage: "sent", detail: "no answer" } : { stage: "connect", detail };
  }
  const connect = CONNECT[code];
  if (connect !== undefined) return { stage: "connect", detail: connect };
  const tls = TLS[code] ?? (code === "EPROTO" && /wrong version number/i.test(textOf(thrown)) ? PLAIN_PORT : undefined);
  if (tls !== undefined) return { stage: "tls", ...tls };
  if (OTHER_TLS.test(code)) return { stage: "tls", detail: code === "EPROTO" ? "TLS failed" : `TLS failed (${code})` };
  if (code.startsWith("HPE_")) return { stage: "sent", ...NOT_HTTP };
  return { stage: "sent", detail: SENT[code] ?? code };
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.message} ${textOf(thrown.cause)}` : "";
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
