/**
 * Every error zeph can show: what happened, what to do next, and how a shell, an HTTP client and a retry loop should
 * read it. The list is closed; `docs/errors.md` is generated from it.
 */
export interface CatalogueEntry {
  /** What happened, one sentence, no trailing full stop. */
  readonly summary: string;
  /** What to type or do next. An entry without one does not compile. */
  readonly hint: string;
  /** Process exit code, see {@link EXIT}. */
  readonly exitCode: number;
  /** Status the local endpoint answers with. */
  readonly httpStatus: number;
  /** May the same request succeed later without any change by the user? */
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

function entry(
  exitCode: number,
  httpStatus: number,
  retryable: "retryable" | "final",
  summary: string,
  hint: string,
): CatalogueEntry {
  return { summary, hint, exitCode, httpStatus, retryable: retryable === "retryable" };
}

export const CATALOGUE = {
  // -- the command itself ------------------------------------------------------------------------------------------
  internal: entry(
    EXIT.failure,
    500,
    "final",
    "zeph failed in a way it did not expect",
    "Run the command again with --verbose and report what it prints.",
  ),
  usage: entry(EXIT.usage, 400, "final", "The command was not understood", "Run it with --help to see what it takes."),
  missing_input: entry(
    EXIT.usage,
    400,
    "final",
    "Something the command needs was not given",
    "Give the flag that is named, or run the command in a terminal to be asked.",
  ),
  not_interactive: entry(
    EXIT.usage,
    400,
    "final",
    "This command asks questions and there is no terminal to ask on",
    "Run it in a terminal, or give the answers as flags together with --yes.",
  ),
  secret_on_command_line: entry(
    EXIT.usage,
    400,
    "final",
    "A secret was given on the command line, where the shell history and the process list keep it",
    "Use the hidden prompt, or pipe the secret in with --stdin or --key-stdin. Replace the one that was shown.",
  ),
  cancelled: entry(EXIT.interrupted, 499, "final", "Cancelled", "Run the command again when you are ready."),
  agent_not_found: entry(
    EXIT.failure,
    404,
    "final",
    "The coding agent is not installed on this computer",
    "Install it; `zeph launch NAME` says how.",
  ),
  file_unwritable: entry(
    EXIT.failure,
    500,
    "final",
    "A file could not be written",
    "Check that the folder exists, is yours and has room.",
  ),

  // -- reaching an endpoint ----------------------------------------------------------------------------------------
  unreachable: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The endpoint could not be reached",
    "Check the network connection and the address; `zeph doctor` tells which part fails.",
  ),
  timeout_headers: entry(
    EXIT.unreachable,
    504,
    "retryable",
    "The endpoint did not begin to answer in time",
    "Try again, send a shorter prompt, or raise request_timeout for this provider.",
  ),
  timeout_idle: entry(
    EXIT.unreachable,
    504,
    "retryable",
    "The answer stopped arriving",
    "Try again; a shorter answer or another model may help.",
  ),
  timeout_total: entry(
    EXIT.unreachable,
    504,
    "retryable",
    "The whole answer took longer than allowed",
    "Ask for a shorter answer or raise llm_request_timeout_secs.",
  ),
  all_endpoints_failed: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "None of the nodes could answer",
    "See the line for each node above; `zeph gonka doctor` checks them one by one.",
  ),
  no_endpoints: entry(
    EXIT.unreachable,
    503,
    "final",
    "There is no node to send the request to",
    "Name nodes in gonka_nodes or a gonka_source_url, or run `zeph init`.",
  ),
  upstream_error: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The endpoint failed while working on the request",
    "Try again in a moment, or choose another broker or model with `zeph providers` and `zeph models`.",
  ),
  service_unavailable: entry(
    EXIT.unreachable,
    503,
    "retryable",
    "The endpoint has no capacity for this request now",
    "Try again in a moment, or choose another model or broker with `zeph models` and `zeph providers`.",
  ),
  wrong_url: entry(
    EXIT.unreachable,
    502,
    "final",
    "This address answers, but it is not an OpenAI-compatible API",
    "Correct base_url: it normally ends in /v1, exactly once.",
  ),
  endpoint_moved: entry(
    EXIT.unreachable,
    502,
    "final",
    "The endpoint says it has moved; zeph does not carry a key to another host by itself",
    "Check the new address with the operator, then change base_url with `zeph init`.",
  ),
  endpoint_gone: entry(
    EXIT.unreachable,
    410,
    "final",
    "The endpoint says that this address is gone for good",
    "Ask its operator for the new address and set base_url, or choose another broker with `zeph init`.",
  ),
  bad_response: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The endpoint answered with something zeph cannot read",
    "Try again; if it stays, report it to the operator.",
  ),
  response_too_large: entry(
    EXIT.unreachable,
    502,
    "final",
    "The answer is larger than zeph accepts",
    "Ask for less, or report the endpoint to its operator.",
  ),
  stream_cut: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The answer broke off before its end",
    "Ask again; where part of the answer has come, you can ask to go on from there.",
  ),
  stream_error: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The endpoint reported an error in the middle of the answer",
    "Try again or choose another model.",
  ),
  foreign_origin: entry(
    EXIT.failure,
    400,
    "final",
    "The request names a host this connection was not made for; nothing was sent",
    "Use the base URL of the connection, or make a connection for the other host.",
  ),
  unsupported_body: entry(
    EXIT.failure,
    400,
    "final",
    "This kind of request body cannot be sent on this connection",
    "Send the body as a string, bytes, URLSearchParams or Blob; streams and multipart forms cannot be repeated or signed.",
  ),
  unsupported_capability: entry(
    EXIT.model,
    400,
    "final",
    "The endpoint does not offer this",
    "See what it offers with `zeph models`.",
  ),

  // -- authentication ----------------------------------------------------------------------------------------------
  invalid_api_key: entry(
    EXIT.authentication,
    401,
    "final",
    "The API key was refused",
    "Check the key at the broker and store it with `zeph init` or `zeph vault set NAME`; a key of one broker is refused by another.",
  ),
  management_key: entry(
    EXIT.authentication,
    401,
    "final",
    "This is a management key; it cannot be used for chat",
    "Create an ordinary API key at the broker and store that one.",
  ),
  account_not_ready: entry(
    EXIT.authentication,
    403,
    "final",
    "The broker refuses this account or key",
    "Sign in at the broker: verify the e-mail address, and check that account and key are active.",
  ),
  forbidden: entry(
    EXIT.authentication,
    403,
    "final",
    "The endpoint refuses this request",
    "Check with its operator what this key or account may do.",
  ),

  // -- the local endpoint ------------------------------------------------------------------------------------------
  local_key_refused: entry(
    EXIT.authentication,
    401,
    "final",
    "This is not the key of the local endpoint",
    "Send it as `Authorization: Bearer KEY` or `x-api-key: KEY`; `zeph serve --show-key` shows it.",
  ),
  host_refused: entry(
    EXIT.failure,
    403,
    "final",
    "The local endpoint does not answer to this host name",
    "Use http://127.0.0.1 and the port, or start `zeph serve` with --allow-host NAME.",
  ),
  origin_refused: entry(
    EXIT.failure,
    403,
    "final",
    "The local endpoint takes no requests from this web page",
    "Start `zeph serve` with --cors ORIGIN when the page is yours.",
  ),
  route_not_found: entry(
    EXIT.failure,
    404,
    "final",
    "The local endpoint has no such path",
    "Set the client's base URL to the address that `zeph serve` prints; it ends in /v1.",
  ),
  method_not_allowed: entry(
    EXIT.failure,
    405,
    "final",
    "The local endpoint has this path, but not with this method",
    "Use the method that the Allow header names.",
  ),

  response_not_found: entry(
    EXIT.failure,
    404,
    "final",
    "The local endpoint does not keep this response",
    "Only the latest responses are kept, and none across restarts: send the whole conversation as input.",
  ),

  // -- model and request -------------------------------------------------------------------------------------------
  model_not_found: entry(
    EXIT.model,
    404,
    "final",
    "The endpoint does not offer this model",
    "List what it offers with `zeph models`; letter case counts.",
  ),
  no_models: entry(
    EXIT.model,
    503,
    "retryable",
    "The endpoint lists no models now",
    "Try again in a moment, or choose another broker.",
  ),
  model_missing: entry(
    EXIT.model,
    400,
    "final",
    "No model is configured for this provider",
    "Choose one with `zeph init`, or name it with --model.",
  ),
  context_length: entry(
    EXIT.model,
    400,
    "final",
    "The conversation is longer than the model can take",
    "Shorten it or start afresh with /clear; `zeph models` shows each model's limit.",
  ),
  request_too_large: entry(
    EXIT.model,
    413,
    "final",
    "The request is larger than the endpoint accepts",
    "Send less: at most 10 MiB reach a Gonka node, some brokers take 1 MB.",
  ),
  invalid_request: entry(
    EXIT.failure,
    400,
    "final",
    "The endpoint did not accept the request",
    "Change what the endpoint names in its message.",
  ),
  parameter_rejected: entry(
    EXIT.failure,
    400,
    "final",
    "The Gonka network refuses one of the request's parameters",
    "Leave the named parameter out, or send the request through `zeph serve`, which removes what the network refuses.",
  ),
  conflict: entry(
    EXIT.failure,
    409,
    "final",
    "The request conflicts with another one",
    "Try again after the other request has ended.",
  ),

  // -- money -------------------------------------------------------------------------------------------------------
  pricing_unavailable: entry(
    EXIT.pricing,
    502,
    "retryable",
    "Prices could not be read",
    "Try again later; unknown prices are shown as unknown, never as 0.",
  ),
  insufficient_quota: entry(
    EXIT.billing,
    402,
    "final",
    "The key is good, but the account has no credit",
    "Top up the account at the broker, then try again.",
  ),
  insufficient_balance: entry(
    EXIT.billing,
    402,
    "final",
    "The account has too little GNK for this request",
    "Fund the address with GNK, or ask for fewer tokens with max_tokens.",
  ),
  budget_reached: entry(
    EXIT.billing,
    402,
    "final",
    "The daily limit in your config is reached; nothing was sent",
    "Raise max_daily_cents in [cost], or wait until tomorrow.",
  ),

  // -- rate --------------------------------------------------------------------------------------------------------
  rate_limited: entry(
    EXIT.rateLimited,
    429,
    "retryable",
    "Too many requests",
    "Wait as long as the endpoint says, and send fewer at once.",
  ),
  capacity_reached: entry(
    EXIT.rateLimited,
    429,
    "retryable",
    "The network has no free capacity for this request",
    "Wait a moment, or use another node or broker.",
  ),

  // -- native path -------------------------------------------------------------------------------------------------
  native_closed: entry(
    EXIT.nativeClosed,
    410,
    "final",
    "This network no longer accepts directly signed requests",
    "Use a broker key: run `zeph init` and choose Gonka (gateway). Your own devshard gateway works the same way.",
  ),
  native_requires_api_key: entry(
    EXIT.nativeClosed,
    401,
    "final",
    "This endpoint takes API keys only; it does not accept signed requests",
    "Use a broker key: run `zeph init` and choose Gonka (gateway). Your own devshard gateway works the same way.",
  ),
  transfer_agent_not_allowed: entry(
    EXIT.nativeClosed,
    403,
    "retryable",
    "This node may not serve requests: it is not on the network's transfer-agent list",
    "Use a node that is listed; `zeph gonka doctor` shows which are.",
  ),
  developer_not_allowed: entry(
    EXIT.nativeClosed,
    403,
    "final",
    "The network takes requests from selected developers only at present",
    "Wait until the block height it names, or use a broker: run `zeph init`.",
  ),
  account_not_found: entry(
    EXIT.authentication,
    403,
    "final",
    "The network does not know this account",
    "Send some GNK to the address first; `zeph gonka account` shows when it arrived.",
  ),
  account_no_public_key: entry(
    EXIT.authentication,
    403,
    "final",
    "The account has not published its public key",
    "Run `inferenced publish-pubkey --from NAME --keyring-backend BACKEND` once, then try again.",
  ),
  invalid_address: entry(
    EXIT.configOrVault,
    400,
    "final",
    "This is not a valid Gonka address",
    "Check every character, and the prefix (gonka1… on the main network).",
  ),
  signature_invalid: entry(
    EXIT.authentication,
    401,
    "final",
    "The node does not accept the signature",
    "Check that key, address and the node's address belong together: `zeph gonka doctor`.",
  ),
  clock_skew: entry(
    EXIT.unreachable,
    400,
    "retryable",
    "The clock of this computer is too far from the network's",
    "Set the clock (time synchronisation on), then try again.",
  ),
  chain_stalled: entry(
    EXIT.unreachable,
    503,
    "retryable",
    "The network has stopped making blocks, so it refuses requests with a correct time",
    "This is not your clock; wait until the network goes on, `zeph gonka status` shows its latest block.",
  ),
  replayed: entry(
    EXIT.failure,
    409,
    "retryable",
    "The node has seen this signature before",
    "Try again: every attempt is signed anew.",
  ),
  no_executor: entry(
    EXIT.unreachable,
    503,
    "retryable",
    "No host of the network can run this model now",
    "Try again in a moment or choose another model with `zeph models`.",
  ),
  executor_failed: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The host that ran the request failed; the network may already have charged for it",
    "Try again if a second charge is acceptable; zeph does so by itself only with retryCharged.",
  ),
  node_fault: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "Two hosts of the network disagreed about the request; the fault is theirs",
    "Try again; another node will be used.",
  ),
  discovery_failed: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "The list of nodes could not be read from the network",
    "Check gonka_source_url, or name nodes in gonka_nodes.",
  ),
  proof_invalid: entry(
    EXIT.authentication,
    502,
    "final",
    "The proof that came with the list of nodes does not hold; the list is not used",
    "Do not trust this source; choose another gonka_source_url.",
  ),
  identity_mismatch: entry(
    EXIT.authentication,
    502,
    "final",
    "A node says it has another address than the one it is listed with",
    "Remove the node, or correct its address in gonka_nodes.",
  ),

  // -- keys --------------------------------------------------------------------------------------------------------
  invalid_private_key: entry(
    EXIT.configOrVault,
    400,
    "final",
    "This is not a secp256k1 private key",
    "Give 64 hex digits, as `inferenced keys export NAME --unarmored-hex --unsafe --keyring-backend BACKEND` prints them.",
  ),
  address_mismatch: entry(
    EXIT.configOrVault,
    400,
    "final",
    "The private key belongs to another address than the stored one",
    "Store the pair that belongs together: run `zeph init` and choose native.",
  ),
  invalid_prefix: entry(
    EXIT.configOrVault,
    400,
    "final",
    "This is not a valid address prefix",
    "Use the network's prefix in lower case; it is gonka on the main network.",
  ),
  inferenced_not_found: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The inferenced program was not found",
    "Install it from https://github.com/gonka-ai/gonka/releases, or paste the private key instead.",
  ),
  inferenced_failed: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The inferenced program did not do what was asked",
    "Run the command that is named by hand, or paste the private key instead.",
  ),

  // -- config ------------------------------------------------------------------------------------------------------
  config_not_found: entry(EXIT.configOrVault, 500, "final", "There is no configuration yet", "Run `zeph init`."),
  config_invalid: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The configuration has faults",
    "Correct the lines that are named. `zeph config migrate` brings a file of an older version up to date.",
  ),
  provider_not_found: entry(
    EXIT.configOrVault,
    400,
    "final",
    "No provider of this name is configured",
    "See the names with `zeph providers`, or add one with `zeph init`.",
  ),
  provider_not_supported: entry(
    EXIT.configOrVault,
    400,
    "final",
    "This kind of provider is kept in the config but not run by zeph",
    "Choose a provider of type compatible or gonka.",
  ),
  secret_missing: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The secret this provider needs was not found; nothing was sent",
    "Store it with `zeph vault set NAME`, or run `zeph init`.",
  ),
  untrusted_project_file: entry(
    EXIT.configOrVault,
    403,
    "final",
    "Only a config file of this folder sets this provider up, and you have not agreed to it; nothing was sent",
    "Look at the file. If it is yours, run `zeph config trust`; otherwise run `zeph init`.",
  ),
  key_for_another_origin: entry(
    EXIT.configOrVault,
    403,
    "final",
    "This key was stored for another address; nothing was sent",
    "If the new address is right, run `zeph vault bind NAME ORIGIN`, or `zeph init` again.",
  ),
  key_origin_unknown: entry(
    EXIT.configOrVault,
    403,
    "final",
    "It is not known where this stored key may be sent; nothing was sent",
    "Say it once with `zeph vault bind NAME ORIGIN`, or run `zeph init` again.",
  ),
  not_a_provider_key: entry(
    EXIT.configOrVault,
    403,
    "final",
    "The config names a secret that was not stored as a provider's key; nothing was sent",
    "Store the key under its usual name with `zeph vault set ZEPH_COMPATIBLE_NAME_API_KEY`, or run `zeph init`.",
  ),
  insecure_url: entry(
    EXIT.configOrVault,
    400,
    "final",
    "A key would travel over plain http; nothing was sent",
    "Use https. Plain http is for this computer (127.0.0.1, localhost) only.",
  ),

  // -- vault -------------------------------------------------------------------------------------------------------
  vault_not_found: entry(
    EXIT.configOrVault,
    500,
    "final",
    "There is no vault yet",
    "Run `zeph init`, or `zeph vault init`.",
  ),
  vault_exists: entry(
    EXIT.configOrVault,
    409,
    "final",
    "There is a vault already; it was left as it is",
    "Use it, or replace it with `zeph vault init --force`; the old files are kept as a backup.",
  ),
  vault_locked: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The vault's key file is protected by a passphrase",
    "Run the command in a terminal to be asked, or set ZEPH_VAULT_PASSPHRASE_FILE to a file only you can read.",
  ),
  vault_wrong_passphrase: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The passphrase does not open the vault's key file",
    "Try again; without the passphrase the vault cannot be opened.",
  ),
  vault_unreadable: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The vault cannot be opened",
    "Run `zeph vault check`; `zeph vault restore` lists earlier states and brings one back.",
  ),
  vault_entry_exists: entry(
    EXIT.configOrVault,
    409,
    "final",
    "The vault has a secret of this name already; it was left as it is",
    "Add --force to replace it; a backup is kept.",
  ),
  vault_entry_not_found: entry(
    EXIT.configOrVault,
    404,
    "final",
    "The vault has no secret of this name",
    "See the names with `zeph vault list`.",
  ),
  vault_permissions: entry(
    EXIT.configOrVault,
    500,
    "final",
    "Other users of this computer can read a secret file",
    "Run the chmod line that is named, or `zeph doctor --fix`.",
  ),
  vault_busy: entry(
    EXIT.configOrVault,
    503,
    "retryable",
    "Another zeph is changing the vault",
    "Try again in a moment. A lock that nobody holds any more is taken over by itself.",
  ),
  vault_backend_unknown: entry(
    EXIT.configOrVault,
    500,
    "final",
    "This vault backend is not known",
    "Use age (default) or env; keyring is not supported yet.",
  ),
  // -- devshards ---------------------------------------------------------------------------------------------------
  devshard_not_allowed: entry(
    EXIT.authentication,
    403,
    "final",
    "The network lets only listed accounts open escrows, and this one is not listed",
    "Use a broker: `zeph init`. Accounts are listed by a governance vote of the network (docs/guides/devshard.md).",
  ),
  devshard_none_open: entry(
    EXIT.billing,
    402,
    "final",
    "There is no open escrow to pay from",
    "Open one with `zeph devshard open`; `zeph devshard check` says whether your key may.",
  ),
  devshard_exhausted: entry(
    EXIT.billing,
    402,
    "final",
    "The escrow has no room left for this request",
    "Settle it with `zeph devshard close` and open another with `zeph devshard open`.",
  ),
  devshard_not_found: entry(
    EXIT.usage,
    404,
    "final",
    "The network has no such escrow",
    "Check the number; escrows that were not settled in time are removed after two epochs.",
  ),
  devshard_no_hosts: entry(
    EXIT.unreachable,
    502,
    "retryable",
    "None of the escrow's hosts could be reached",
    "Try again; `zeph devshard status` shows each host.",
  ),
  devshard_version_unknown: entry(
    EXIT.nativeClosed,
    501,
    "final",
    "This version of the devshard protocol is not known here",
    "Update zeph; do not use the escrow with another version than its own.",
  ),
  devshard_diverged: entry(
    EXIT.failure,
    502,
    "final",
    "The hosts compute another state of this escrow than zeph; nothing more was ordered",
    "Close it with `zeph devshard close`, and look at it with `zeph devshard audit`, which compares all hosts.",
  ),
  devshard_busy: entry(
    EXIT.configOrVault,
    503,
    "retryable",
    "Another zeph is using this escrow",
    "Try again in a moment. A lock that nobody holds any more is taken over by itself.",
  ),
  devshard_journal_damaged: entry(
    EXIT.configOrVault,
    500,
    "final",
    "The journal of this escrow cannot be used",
    "Rebuild it from the hosts with `zeph devshard rescue`; the old file is kept.",
  ),
  devshard_no_quorum: entry(
    EXIT.unreachable,
    503,
    "retryable",
    "Too few hosts have signed the final state to settle the escrow",
    "Run `zeph devshard close` again: it goes on where it stopped. Settle before the date it shows.",
  ),
  transaction_refused: entry(
    EXIT.failure,
    502,
    "final",
    "The chain refused the transaction; nothing was spent but its fee",
    "See the chain's words above; `zeph devshard check` looks at the usual reasons.",
  ),
  transaction_unclear: entry(
    EXIT.unreachable,
    503,
    "retryable",
    "It is not known yet whether the chain took the transaction",
    "Run the same command again: it goes on with the same transaction and sends nothing twice.",
  ),
} as const satisfies Record<string, CatalogueEntry>;

/** The closed union of error codes. Match on `error.code`. */
export type ZephErrorCode = keyof typeof CATALOGUE;

export function isZephErrorCode(code: unknown): code is ZephErrorCode {
  return typeof code === "string" && Object.hasOwn(CATALOGUE, code);
}
