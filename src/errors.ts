/**
 * Every error zeph can show: what happened (one sentence, no trailing full stop), what to type or do next, and how a shell,
 * an HTTP client of the local endpoint and a retry loop should read it: `retryable` where the same request may succeed
 * later without any change by the user. The list is closed; `docs/errors.md` is generated from it.
 */
interface CatalogueEntry {
  readonly summary: string;
  readonly hint: string;
  readonly exitCode: number;
  readonly httpStatus: number;
  readonly retryable: boolean;
}

/** Exit codes of the CLI. 0, 2 and 10-13 agree with gonkagate-doctor 0.2.2 (GonkaGate/gonkagate-doctor). */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 10,
  authentication: 11,
  model: 12,
  pricing: 13,
  billing: 14,
  rateLimited: 15,
  nativeClosed: 16,
  configOrVault: 17,
  interrupted: 130,
} as const;

type Words = (summary: string, hint: string) => CatalogueEntry;

const entry =
  (columns: Omit<CatalogueEntry, "summary" | "hint">): Words =>
  (summary, hint) => ({ summary, hint, ...columns });

const final = (exitCode: number, httpStatus: number) => entry({ exitCode, httpStatus, retryable: false });
const retryable = (exitCode: number, httpStatus: number) => entry({ exitCode, httpStatus, retryable: true });

export const CATALOGUE = {
  // -- the command itself ------------------------------------------------------------------------------------------
  internal: final(EXIT.failure, 500)(
    "zeph failed in a way it did not expect",
    "Run the command again with --verbose and report what it prints.",
  ),
  usage: final(EXIT.usage, 400)("The command was not understood", "Run it with --help to see what it takes."),
  missing_input: final(EXIT.usage, 400)(
    "Something the command needs was not given",
    "Give the flag that is named, or run the command in a terminal to be asked.",
  ),
  not_interactive: final(EXIT.usage, 400)(
    "This command asks questions and there is no terminal to ask on",
    "Run it in a terminal, or give the answers as flags together with --yes.",
  ),
  secret_on_command_line: final(EXIT.usage, 400)(
    "A secret was given on the command line, where the shell history and the process list keep it",
    "Use the hidden prompt, or pipe the secret in with --stdin or --key-stdin. Replace the one that was shown.",
  ),
  cancelled: final(EXIT.interrupted, 499)("Cancelled", "Run the command again when you are ready."),
  agent_not_found: final(EXIT.failure, 404)(
    "The coding agent is not installed on this computer",
    "Install it; `zeph launch NAME` says how.",
  ),
  file_unwritable: final(EXIT.failure, 500)(
    "A file could not be written",
    "Check that the folder exists, is yours and has room.",
  ),

  // -- reaching an endpoint ----------------------------------------------------------------------------------------
  unreachable: retryable(EXIT.unreachable, 502)(
    "The endpoint could not be reached",
    "Check the network connection and the address; `zeph doctor` tells which part fails.",
  ),
  timeout_headers: retryable(EXIT.unreachable, 504)(
    "The endpoint did not begin to answer in time",
    "Try again, send a shorter prompt, or raise request_timeout for this provider.",
  ),
  timeout_idle: retryable(EXIT.unreachable, 504)(
    "The answer stopped arriving",
    "Try again; a shorter answer or another model may help.",
  ),
  timeout_total: retryable(EXIT.unreachable, 504)(
    "The whole answer took longer than allowed",
    "Ask for a shorter answer or raise llm_request_timeout_secs.",
  ),
  all_endpoints_failed: retryable(EXIT.unreachable, 502)(
    "None of the nodes could answer",
    "See the line for each node above; `zeph gonka doctor` checks them one by one.",
  ),
  no_endpoints: final(EXIT.unreachable, 503)(
    "There is no node to send the request to",
    "Name nodes in gonka_nodes or a gonka_source_url, or run `zeph init`.",
  ),
  upstream_error: retryable(EXIT.unreachable, 502)(
    "The endpoint failed while working on the request",
    "Try again in a moment, or choose another broker or model with `zeph providers` and `zeph models`.",
  ),
  service_unavailable: retryable(EXIT.unreachable, 503)(
    "The endpoint has no capacity for this request now",
    "Try again in a moment, or choose another model or broker with `zeph models` and `zeph providers`.",
  ),
  wrong_url: final(EXIT.unreachable, 502)(
    "This address answers, but it is not an OpenAI-compatible API",
    "Correct base_url: it normally ends in /v1, exactly once.",
  ),
  endpoint_moved: final(EXIT.unreachable, 502)(
    "The endpoint says it has moved; zeph does not carry a key to another host by itself",
    "Check the new address with the operator, then change base_url with `zeph init`.",
  ),
  endpoint_gone: final(EXIT.unreachable, 410)(
    "The endpoint says that this address is gone for good",
    "Ask its operator for the new address and set base_url, or choose another broker with `zeph init`.",
  ),
  bad_response: retryable(EXIT.unreachable, 502)(
    "The endpoint answered with something zeph cannot read",
    "Try again; if it stays, report it to the operator.",
  ),
  response_too_large: final(EXIT.unreachable, 502)(
    "The answer is larger than zeph accepts",
    "Ask for less, or report the endpoint to its operator.",
  ),
  stream_cut: retryable(EXIT.unreachable, 502)(
    "The answer broke off before its end",
    "Ask again; where part of the answer has come, you can ask to go on from there.",
  ),
  stream_error: retryable(EXIT.unreachable, 502)(
    "The endpoint reported an error in the middle of the answer",
    "Try again or choose another model.",
  ),
  foreign_origin: final(EXIT.failure, 400)(
    "The request names a host this connection was not made for; nothing was sent",
    "Use the base URL of the connection, or make a connection for the other host.",
  ),
  unsupported_body: final(EXIT.failure, 400)(
    "This kind of request body cannot be sent on this connection",
    "Send the body as a string, bytes, URLSearchParams or Blob; streams and multipart forms cannot be repeated or signed.",
  ),
  unsupported_capability: final(EXIT.model, 400)(
    "The endpoint does not offer this",
    "See what it offers with `zeph models`.",
  ),

  // -- authentication ----------------------------------------------------------------------------------------------
  invalid_api_key: final(EXIT.authentication, 401)(
    "The API key was refused",
    "Check the key at the broker and store it with `zeph init` or `zeph vault set NAME`; a key of one broker is refused by another.",
  ),
  management_key: final(EXIT.authentication, 401)(
    "This is a management key; it cannot be used for chat",
    "Create an ordinary API key at the broker and store that one.",
  ),
  account_not_ready: final(EXIT.authentication, 403)(
    "The broker refuses this account or key",
    "Sign in at the broker: verify the e-mail address, and check that account and key are active.",
  ),
  forbidden: final(EXIT.authentication, 403)(
    "The endpoint refuses this request",
    "Check with its operator what this key or account may do.",
  ),

  // -- the local endpoint ------------------------------------------------------------------------------------------
  local_key_refused: final(EXIT.authentication, 401)(
    "This is not the key of the local endpoint",
    "Send it as `Authorization: Bearer KEY` or `x-api-key: KEY`; `zeph serve --show-key` shows it.",
  ),
  page_session_missing: final(EXIT.authentication, 401)("The page needs a new link", "Type `zeph open` for one."),
  page_not_running: final(EXIT.failure, 503)("No `zeph serve` with a page runs here", "Start one: `zeph serve`."),
  host_refused: final(EXIT.failure, 403)(
    "The local endpoint does not answer to this host name",
    "Use http://127.0.0.1 and the port, or start `zeph serve` with --allow-host NAME.",
  ),
  origin_refused: final(EXIT.failure, 403)(
    "The local endpoint takes no requests from this web page",
    "Start `zeph serve` with --cors ORIGIN when the page is yours.",
  ),
  route_not_found: final(EXIT.failure, 404)(
    "The local endpoint has no such path",
    "Set the client's base URL to the address that `zeph serve` prints; it ends in /v1.",
  ),
  method_not_allowed: final(EXIT.failure, 405)(
    "The local endpoint has this path, but not with this method",
    "Use the method that the Allow header names.",
  ),

  response_not_found: final(EXIT.failure, 404)(
    "The local endpoint does not keep this response",
    "Only the latest responses are kept, and none across restarts: send the whole conversation as input.",
  ),

  // -- model and request -------------------------------------------------------------------------------------------
  model_not_found: final(EXIT.model, 404)(
    "The endpoint does not offer this model",
    "List what it offers with `zeph models`; letter case counts.",
  ),
  no_models: retryable(EXIT.model, 503)(
    "The endpoint lists no models now",
    "Try again in a moment, or choose another broker.",
  ),
  model_missing: final(EXIT.model, 400)(
    "No model is configured for this provider",
    "Choose one with `zeph init`, or name it with --model.",
  ),
  context_length: final(EXIT.model, 400)(
    "The conversation is longer than the model can take",
    "Shorten it or start afresh with /clear; `zeph models` shows each model's limit.",
  ),
  request_too_large: final(EXIT.model, 413)(
    "The request is larger than the endpoint accepts",
    "Send less: at most 10 MiB reach a Gonka node, some brokers take 1 MB.",
  ),
  invalid_request: final(EXIT.failure, 400)(
    "The endpoint did not accept the request",
    "Change what the endpoint names in its message.",
  ),
  parameter_rejected: final(EXIT.failure, 400)(
    "The Gonka network refuses one of the request's parameters",
    "Leave the named parameter out, or send the request through `zeph serve`, which removes what the network refuses.",
  ),
  conflict: final(EXIT.failure, 409)(
    "The request conflicts with another one",
    "Try again after the other request has ended.",
  ),

  // -- money -------------------------------------------------------------------------------------------------------
  pricing_unavailable: retryable(EXIT.pricing, 502)(
    "Prices could not be read",
    "Try again later; unknown prices are shown as unknown, never as 0.",
  ),
  insufficient_quota: final(EXIT.billing, 402)(
    "The key is good, but the account has no credit",
    "Top up the account at the broker, then try again.",
  ),
  insufficient_balance: final(EXIT.billing, 402)(
    "The account has too little GNK for this request",
    "Fund the address with GNK, or ask for fewer tokens with max_tokens.",
  ),
  budget_reached: final(EXIT.billing, 402)(
    "The daily limit in your config is reached; nothing was sent",
    "Raise max_daily_cents in [cost], or wait until tomorrow.",
  ),

  // -- rate --------------------------------------------------------------------------------------------------------
  rate_limited: retryable(EXIT.rateLimited, 429)(
    "Too many requests",
    "Wait as long as the endpoint says, and send fewer at once.",
  ),
  capacity_reached: retryable(EXIT.rateLimited, 429)(
    "The network has no free capacity for this request",
    "Wait a moment, or use another node or broker.",
  ),

  // -- native path -------------------------------------------------------------------------------------------------
  native_closed: final(EXIT.nativeClosed, 410)(
    "This network no longer accepts directly signed requests",
    "Use a broker key: run `zeph init` and choose Gonka (gateway). Your own devshard gateway works the same way.",
  ),
  native_requires_api_key: final(EXIT.nativeClosed, 401)(
    "This endpoint takes API keys only; it does not accept signed requests",
    "Use a broker key: run `zeph init` and choose Gonka (gateway). Your own devshard gateway works the same way.",
  ),
  transfer_agent_not_allowed: retryable(EXIT.nativeClosed, 403)(
    "This node may not serve requests: it is not on the network's transfer-agent list",
    "Use a node that is listed; `zeph gonka doctor` shows which are.",
  ),
  developer_not_allowed: final(EXIT.nativeClosed, 403)(
    "The network takes requests from selected developers only at present",
    "Wait until the block height it names, or use a broker: run `zeph init`.",
  ),
  account_not_found: final(EXIT.authentication, 403)(
    "The network does not know this account",
    "Send some GNK to the address first; `zeph gonka account` shows when it arrived.",
  ),
  account_no_public_key: final(EXIT.authentication, 403)(
    "The account has not published its public key",
    "Run `inferenced publish-pubkey --from NAME --keyring-backend BACKEND` once, then try again.",
  ),
  invalid_address: final(EXIT.configOrVault, 400)(
    "This is not a valid Gonka address",
    "Check every character, and the prefix (gonka1… on the main network).",
  ),
  signature_invalid: final(EXIT.authentication, 401)(
    "The node does not accept the signature",
    "Check that key, address and the node's address belong together: `zeph gonka doctor`.",
  ),
  clock_skew: retryable(EXIT.unreachable, 400)(
    "The clock of this computer is too far from the network's",
    "Set the clock (time synchronisation on), then try again.",
  ),
  chain_stalled: retryable(EXIT.unreachable, 503)(
    "The network has stopped making blocks, so it refuses requests with a correct time",
    "This is not your clock; wait until the network goes on, `zeph gonka status` shows its latest block.",
  ),
  replayed: retryable(EXIT.failure, 409)(
    "The node has seen this signature before",
    "Try again: every attempt is signed anew.",
  ),
  no_executor: retryable(EXIT.unreachable, 503)(
    "No host of the network can run this model now",
    "Try again in a moment or choose another model with `zeph models`.",
  ),
  executor_failed: retryable(EXIT.unreachable, 502)(
    "The host that ran the request failed; the network may already have charged for it",
    "Try again if a second charge is acceptable; zeph does so by itself only with retryCharged.",
  ),
  node_fault: retryable(EXIT.unreachable, 502)(
    "Two hosts of the network disagreed about the request; the fault is theirs",
    "Try again; another node will be used.",
  ),
  discovery_failed: retryable(EXIT.unreachable, 502)(
    "The list of nodes could not be read from the network",
    "Check gonka_source_url, or name nodes in gonka_nodes.",
  ),
  proof_invalid: final(EXIT.authentication, 502)(
    "The proof that came with the list of nodes does not hold; the list is not used",
    "Do not trust this source; choose another gonka_source_url.",
  ),
  identity_mismatch: final(EXIT.authentication, 502)(
    "A node says it has another address than the one it is listed with",
    "Remove the node, or correct its address in gonka_nodes.",
  ),

  // -- keys --------------------------------------------------------------------------------------------------------
  invalid_private_key: final(EXIT.configOrVault, 400)(
    "This is not a secp256k1 private key",
    "Give 64 hex digits, as `inferenced keys export NAME --unarmored-hex --unsafe --keyring-backend BACKEND` prints them.",
  ),
  address_mismatch: final(EXIT.configOrVault, 400)(
    "The private key belongs to another address than the stored one",
    "Store the pair that belongs together: run `zeph init` and choose native.",
  ),
  invalid_prefix: final(EXIT.configOrVault, 400)(
    "This is not a valid address prefix",
    "Use the network's prefix in lower case; it is gonka on the main network.",
  ),
  inferenced_not_found: final(EXIT.configOrVault, 500)(
    "The inferenced program was not found",
    "Install it from https://github.com/gonka-ai/gonka/releases, or paste the private key instead.",
  ),
  inferenced_failed: final(EXIT.configOrVault, 500)(
    "The inferenced program did not do what was asked",
    "Run the command that is named by hand, or paste the private key instead.",
  ),

  // -- config ------------------------------------------------------------------------------------------------------
  config_not_found: final(EXIT.configOrVault, 500)("There is no configuration yet", "Run `zeph init`."),
  config_invalid: final(EXIT.configOrVault, 500)(
    "The configuration has faults",
    "Correct the lines that are named. `zeph config migrate` brings a file of an older version up to date.",
  ),
  provider_not_found: final(EXIT.configOrVault, 400)(
    "No provider of this name is configured",
    "See the names with `zeph providers`, or add one with `zeph init`.",
  ),
  provider_not_supported: final(EXIT.configOrVault, 400)(
    "This kind of provider is kept in the config but not run by zeph",
    "Choose a provider of type compatible or gonka.",
  ),
  secret_missing: final(EXIT.configOrVault, 500)(
    "The secret this provider needs was not found; nothing was sent",
    "Store it with `zeph vault set NAME`, or run `zeph init`.",
  ),
  untrusted_project_file: final(EXIT.configOrVault, 403)(
    "Only a config file of this folder sets this provider up, and you have not agreed to it; nothing was sent",
    "Look at the file. If it is yours, run `zeph config trust`; otherwise run `zeph init`.",
  ),
  key_for_another_origin: final(EXIT.configOrVault, 403)(
    "This key was stored for another address; nothing was sent",
    "If the new address is right, run `zeph vault bind NAME ORIGIN`, or `zeph init` again.",
  ),
  key_origin_unknown: final(EXIT.configOrVault, 403)(
    "It is not known where this stored key may be sent; nothing was sent",
    "Say it once with `zeph vault bind NAME ORIGIN`, or run `zeph init` again.",
  ),
  not_a_provider_key: final(EXIT.configOrVault, 403)(
    "The config names a secret that was not stored as a provider's key; nothing was sent",
    "Store the key under its usual name with `zeph vault set ZEPH_COMPATIBLE_NAME_API_KEY`, or run `zeph init`.",
  ),
  insecure_url: final(EXIT.configOrVault, 400)(
    "A key would travel over plain http; nothing was sent",
    "Use https. Plain http is for this computer (127.0.0.1, localhost) only.",
  ),

  // -- vault -------------------------------------------------------------------------------------------------------
  vault_not_found: final(EXIT.configOrVault, 500)("There is no vault yet", "Run `zeph init`, or `zeph vault init`."),
  vault_exists: final(EXIT.configOrVault, 409)(
    "There is a vault already; it was left as it is",
    "Use it, or replace it with `zeph vault init --force`; the old files are kept as a backup.",
  ),
  vault_locked: final(EXIT.configOrVault, 500)(
    "The vault's key file is protected by a passphrase",
    "Run the command in a terminal to be asked, or set ZEPH_VAULT_PASSPHRASE_FILE to a file only you can read.",
  ),
  vault_wrong_passphrase: final(EXIT.configOrVault, 500)(
    "The passphrase does not open the vault's key file",
    "Try again; without the passphrase the vault cannot be opened.",
  ),
  vault_unreadable: final(EXIT.configOrVault, 500)(
    "The vault cannot be opened",
    "Run `zeph vault check`; `zeph vault restore` lists earlier states and brings one back.",
  ),
  vault_entry_exists: final(EXIT.configOrVault, 409)(
    "The vault has a secret of this name already; it was left as it is",
    "Add --force to replace it; a backup is kept.",
  ),
  vault_entry_not_found: final(EXIT.configOrVault, 404)(
    "The vault has no secret of this name",
    "See the names with `zeph vault list`.",
  ),
  vault_permissions: final(EXIT.configOrVault, 500)(
    "Other users of this computer can read a secret file",
    "Run the chmod line that is named, or `zeph doctor --fix`.",
  ),
  vault_busy: retryable(EXIT.configOrVault, 503)(
    "Another zeph is changing the vault",
    "Try again in a moment. A lock that nobody holds any more is taken over by itself.",
  ),
  vault_backend_unknown: final(EXIT.configOrVault, 500)(
    "This vault backend is not known",
    "Use age (default) or env; keyring is not supported yet.",
  ),
  // -- devshards ---------------------------------------------------------------------------------------------------
  devshard_not_allowed: final(EXIT.authentication, 403)(
    "The network lets only listed accounts open escrows, and this one is not listed",
    "Use a broker: `zeph init`. Accounts are listed by a governance vote of the network (docs/guides/devshard.md).",
  ),
  devshard_none_open: final(EXIT.billing, 402)(
    "There is no open escrow to pay from",
    "Open one with `zeph devshard open`; `zeph devshard check` says whether your key may.",
  ),
  devshard_exhausted: final(EXIT.billing, 402)(
    "The escrow has no room left for this request",
    "Settle it with `zeph devshard close` and open another with `zeph devshard open`.",
  ),
  devshard_not_found: final(EXIT.usage, 404)(
    "The network has no such escrow",
    "Check the number; escrows that were not settled in time are removed after two epochs.",
  ),
  devshard_no_hosts: retryable(EXIT.unreachable, 502)(
    "None of the escrow's hosts could be reached",
    "Try again; `zeph devshard status` shows each host.",
  ),
  devshard_paused: final(EXIT.unreachable, 503)(
    "The network takes no requests over escrows at present; nothing more was ordered",
    "Wait until it does: `zeph devshard check` shows it. Open escrows can still be settled with `zeph devshard close`.",
  ),
  devshard_version_unknown: final(EXIT.nativeClosed, 501)(
    "This version of the devshard protocol is not known here",
    "Update zeph; do not use the escrow with another version than its own.",
  ),
  devshard_diverged: final(EXIT.failure, 502)(
    "The hosts compute another state of this escrow than zeph; nothing more was ordered",
    "Close it with `zeph devshard close`, and look at it with `zeph devshard audit`, which compares all hosts.",
  ),
  devshard_busy: retryable(EXIT.configOrVault, 503)(
    "Another zeph is using this escrow",
    "Try again in a moment. A lock that nobody holds any more is taken over by itself.",
  ),
  devshard_journal_damaged: final(EXIT.configOrVault, 500)(
    "The journal of this escrow cannot be used",
    "Rebuild it from the hosts with `zeph devshard rescue`; the old file is kept.",
  ),
  devshard_no_quorum: retryable(EXIT.unreachable, 503)(
    "Too few hosts have signed the final state to settle the escrow",
    "Run `zeph devshard close` again: it goes on where it stopped. Settle before the date it shows.",
  ),
  transaction_refused: final(EXIT.failure, 502)(
    "The chain refused the transaction; nothing was spent but its fee",
    "See the chain's words above; `zeph devshard check` looks at the usual reasons.",
  ),
  transaction_unclear: retryable(EXIT.unreachable, 503)(
    "It is not known yet whether the chain took the transaction",
    "Run the same command again: it goes on with the same transaction and sends nothing twice.",
  ),
} as const satisfies Record<string, CatalogueEntry>;

/** The closed union of error codes. Match on `error.code`. */
export type ZephErrorCode = keyof typeof CATALOGUE;

export function isZephErrorCode(code: unknown): code is ZephErrorCode {
  return typeof code === "string" && Object.hasOwn(CATALOGUE, code);
}

/** Whether the network or broker may already have charged for the failed request. */
export type Charged = "no" | "maybe" | "yes";

/** One try at one endpoint, as it ended. Times are milliseconds. Holds no prompt, header or key. */
export interface AttemptRecord {
  readonly endpoint: string;
  readonly status?: number | undefined;
  readonly code: ZephErrorCode | "ok";
  readonly detail?: string | undefined;
  readonly elapsedMs: number;
  readonly charged: Charged;
  readonly requestId?: string | undefined;
}

export interface ZephErrorOptions {
  /** What exactly happened here: the server's own words (scrubbed), a path, a name. Never a secret. */
  readonly detail?: string | undefined;
  /** Replaces the catalogue's hint where the place knows better, such as a top-up page or the nearest model ids. */
  readonly hint?: string | undefined;
  /** HTTP status received, where there was one. */
  readonly status?: number | undefined;
  readonly requestId?: string | undefined;
  /** Every try that was made, in order. */
  readonly attempts?: readonly AttemptRecord[] | undefined;
  readonly charged?: Charged | undefined;
  /** How long the server asked to wait. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * The one error class of zeph. Match on {@link ZephError.code}; the words come from the catalogue
 * (`docs/errors.md`).
 *
 * @example
 * ```ts
 * try { await gonka(url); } catch (error) {
 *   if (ZephError.is(error) && error.code === "insufficient_quota") console.error(error.hint);
 * }
 * ```
 */
export class ZephError extends Error {
  override readonly name = "ZephError";
  readonly code: ZephErrorCode;
  readonly summary: string;
  readonly detail: string | undefined;
  readonly hint: string;
  readonly exitCode: number;
  readonly httpStatus: number;
  readonly retryable: boolean;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly attempts: readonly AttemptRecord[];
  readonly charged: Charged;
  readonly retryAfterMs: number | undefined;

  constructor(code: ZephErrorCode, options: ZephErrorOptions = {}) {
    const entry: CatalogueEntry = CATALOGUE[code];
    super(
      options.detail === undefined ? entry.summary : `${entry.summary}: ${options.detail}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.summary = entry.summary;
    this.detail = options.detail;
    this.hint = options.hint ?? entry.hint;
    this.exitCode = entry.exitCode;
    this.httpStatus = entry.httpStatus;
    this.retryable = entry.retryable;
    this.status = options.status;
    this.requestId = options.requestId;
    this.attempts = options.attempts ?? [];
    this.charged = options.charged ?? "no";
    this.retryAfterMs = options.retryAfterMs;
  }

  /** True for any ZephError, also one made by another copy of this package. */
  static is(value: unknown): value is ZephError {
    return value instanceof Error && value.name === "ZephError" && "code" in value && isZephErrorCode(value.code);
  }

  /** A copy with some fields replaced; a field given as `undefined` is taken away. Whatever is not named stays. */
  with(changes: ZephErrorOptions): ZephError {
    const copy = new ZephError(this.code, { ...this, cause: this.cause, ...changes });
    if (this.stack !== undefined) copy.stack = this.stack.replace(this.message, () => copy.message);
    return copy;
  }

  /** The page that explains this code. */
  get docs(): string {
    return `docs/errors.md#${this.code}`;
  }

  /** Plain data for `--json` and logs: no stack, no cause, no secret. */
  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      message: this.summary,
      detail: this.detail,
      hint: this.hint,
      exitCode: this.exitCode,
      retryable: this.retryable,
      status: this.status,
      requestId: this.requestId,
      retryAfterMs: this.retryAfterMs,
      charged: this.charged === "no" ? undefined : this.charged,
      attempts: this.attempts.length === 0 ? undefined : this.attempts,
    };
  }
}
