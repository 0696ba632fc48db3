import { canonicalJson, promptHash } from "../canonical-json.ts";
import { type DevshardTx, decodeTx, EXECUTOR_RECEIPT, FINISH_INFERENCE, TIMEOUT_VOTE_CONTENT } from "../messages.ts";
import { checkNonceBudget, lastActiveNonce, quorum, refusalOf, sessionTerms } from "../rules.ts";
import { recoverAddress, requestDigest, requestSigner } from "../signing.ts";
import { checkReleaseRoots } from "./release-roots.ts";
import { checkSession, type SessionVector } from "./session.ts";
import { type Amount, amount, bytes, compareMembers, type Difference, decodeTxs, labelled, Tally } from "./tally.ts";
import { checkChainTx } from "./transactions.ts";
import { checkTranscript, type TranscriptVector } from "./transcript.ts";

/** What a vector file says beside what this code computes. */
interface VectorReport {
  readonly values: number;
  readonly agreed: number;
  /** The first value that differs. */
  readonly first: Difference | undefined;
  /** Paths that this checker has no rule for. */
  readonly unknown: readonly string[];
}

/**
 * Checks a file of devshard vectors: canonical JSON, keys, request signatures, configuration, whole sessions, transcripts of
 * hosts, transactions. Every value is computed anew from the inputs and compared; sections and members that are not known
 * are listed and never passed over in silence.
 */
export function checkVectors(file: unknown): VectorReport {
  const tally = new Tally();
  for (const [name, value] of Object.entries(file as Record<string, unknown>)) {
    const check = SECTIONS[name];
    if (check === undefined) tally.unknown.push(name);
    else tally.guarded(name, () => check(tally, value as never, file as VectorFile));
  }
  return { values: tally.values, agreed: tally.agreed, first: tally.first, unknown: tally.unknown };
}

/** What a session needs from elsewhere in its file. */
interface VectorFile {
  readonly session_a?: SessionVector;
  readonly sessions?: Readonly<Record<string, SessionVector>>;
  readonly keys?: Readonly<Record<string, unknown>>;
}

const SECTIONS: Readonly<Record<string, (tally: Tally, section: never, file: VectorFile) => void>> = {
  // Says where the file is from.
  meta: (_tally, _section: object) => {},
  keys: checkKeys,
  canonical_json: checkCanonical,
  canonical_json_errors: checkCanonicalErrors,
  request_auth: checkRequestAuth,
  config_fallback: checkFallback,
  quorum: checkQuorum,
  max_nonce: checkMaxNonce,
  v41_release_roots: checkReleaseRoots,
  sessions: (tally, sessions: Readonly<Record<string, SessionVector>>) => {
    for (const [name, session] of Object.entries(sessions)) {
      tally.guarded(`sessions.${name}`, () => checkSession(tally, `sessions.${name}`, session));
    }
  },
  session_a: (tally, session: SessionVector) => checkSession(tally, "session_a", withBaseRoles(session, session)),
  session_b_warm: (tally, session: SessionVector, file) => {
    const { config } = withBaseRoles(session, file.session_a ?? session);
    const warm_grants = [{ warm: "31", granter: "12" }];
    checkSession(tally, "session_b_warm", { ...session, config: { ...config, warm_grants } });
  },
  http: (tally, section: TranscriptVector, file) => checkTranscript(tally, section, Object.keys(file.keys ?? {})),
  chain_tx: checkChainTx,
};

/** The older file leaves the roles to its description: keys 11, 12, 13 are the slots and 21 the user. */
function withBaseRoles(session: SessionVector, { config }: SessionVector): SessionVector {
  return { ...session, config: { group: ["11", "12", "13"], user: "21", ...config } };
}

interface KeyVector {
  readonly address: string;
  readonly pubkey: string;
  readonly sig_hello: string;
}

function checkKeys(tally: Tally, keys: Readonly<Record<string, KeyVector>>): void {
  const hello = Buffer.from("hello devshard");
  for (const [label, key] of Object.entries(keys)) {
    const path = `keys.${label}`;
    tally.known(path, key, ["address", "pubkey", "sig_hello"]);
    tally.guarded(path, () => {
      const signer = labelled(label);
      tally.same(`${path}.address`, key.address, signer.address);
      tally.same(`${path}.pubkey`, key.pubkey, signer.publicKey);
      tally.same(`${path}.sig_hello`, key.sig_hello, signer.sign(hello));
      tally.same(`${path}.sig_hello (recovered)`, key.address, recoverAddress(hello, bytes(key.sig_hello)));
    });
  }
}

type CanonicalVector = Readonly<Record<"in_hex" | "canonical" | "canonical_hex" | "sha256", string>>;

function checkCanonical(tally: Tally, cases: readonly CanonicalVector[]): void {
  cases.forEach((each, index) => {
    const path = `canonical_json[${index}]`;
    tally.known(path, each, ["in_hex", "canonical", "canonical_hex", "sha256"]);
    tally.guarded(path, () => {
      const canonical = canonicalJson(bytes(each.in_hex));
      tally.same(`${path}.canonical`, each.canonical, Buffer.from(canonical).toString("utf8"));
      tally.same(`${path}.canonical_hex`, each.canonical_hex, canonical);
      tally.same(`${path}.sha256`, each.sha256, promptHash(bytes(each.in_hex)));
    });
  });
}

function checkCanonicalErrors(tally: Tally, cases: readonly { readonly in_hex: string }[]): void {
  cases.forEach((each, index) => {
    const path = `canonical_json_errors[${index}]`;
    // The text of the error is Go's own.
    tally.known(path, each, ["in_hex", "error"]);
    let outcome = "refused";
    try {
      outcome = Buffer.from(canonicalJson(bytes(each.in_hex))).toString("utf8");
    } catch {
      // As it should be.
    }
    tally.same(path, "refused", outcome);
  });
}

interface RequestAuthVector {
  readonly escrow_id: string;
  readonly body: string;
  readonly ts: number;
  readonly signer: string;
  readonly signature: string;
  readonly digest?: string;
  readonly host_clock?: number;
  readonly recovered?: string;
  readonly verify_error?: string;
}

function checkRequestAuth(tally: Tally, section: RequestAuthVector | readonly RequestAuthVector[]): void {
  [section].flat().forEach((each: RequestAuthVector, index) => {
    const path = `request_auth[${index}]`;
    tally.known(path, each, [
      ...["escrow_id", "body", "ts", "signer", "signature", "digest", "host_clock", "recovered", "verify_error"],
    ]);
    tally.guarded(path, () => {
      const request = { escrowId: each.escrow_id, body: Buffer.from(each.body, "utf8"), timestampSeconds: each.ts };
      const digest = requestDigest(request);
      if (each.digest !== undefined) tally.same(`${path}.digest`, each.digest, digest);
      tally.same(`${path}.signature`, each.signature, labelled(each.signer).sign(digest));
      let signer: string | undefined;
      const refusal = refusalOf(() => {
        signer = requestSigner(request, bytes(each.signature), each.host_clock ?? each.ts);
      });
      const { signer: label, recovered = each.verify_error === undefined ? labelled(label).address : undefined } = each;
      tally.same(`${path}.recovered`, recovered, signer);
      tally.same(`${path}.verify_error`, each.verify_error, refusal?.message);
    });
  });
}

interface FallbackVector {
  readonly slots: number;
  readonly escrow: Readonly<Record<string, Amount>>;
  readonly session: Readonly<Record<string, Amount>>;
}

function checkFallback(tally: Tally, cases: readonly FallbackVector[]): void {
  cases.forEach(({ slots, escrow, session, ...rest }, index) => {
    const path = `config_fallback[${index}]`;
    tally.known(path, rest, []);
    tally.guarded(path, () => {
      const terms = sessionTerms(
        {
          tokenPrice: amount(escrow.token_price),
          createDevshardFee: amount(escrow.create_devshard_fee),
          feePerNonce: amount(escrow.fee_per_nonce),
          sealGraceNonces: Number(escrow.inference_seal_grace_nonces),
          sealGraceSeconds: Number(escrow.inference_seal_grace_seconds),
          autoSealEvery: Number(escrow.auto_seal_every_n_nonces),
          voteThresholdFactor: Number(escrow.vote_threshold_factor),
        },
        slots,
      );
      compareMembers(tally, `${path}.session`, session, {
        token_price: terms.tokenPrice,
        create_devshard_fee: terms.createDevshardFee,
        fee_per_nonce: terms.feePerNonce,
        seal_grace_nonces: terms.sealGraceNonces,
        seal_grace_seconds: terms.sealGraceSeconds,
        auto_seal_every: terms.autoSealEvery,
        vote_threshold: terms.voteThreshold,
      });
    });
  });
}

function checkQuorum(tally: Tally, cases: readonly { readonly slots: number; readonly needed: number }[]): void {
  cases.forEach((each, index) => {
    tally.known(`quorum[${index}]`, each, ["slots", "needed"]);
    tally.same(`quorum[${index}].needed`, each.needed, quorum(each.slots));
  });
}

interface MaxNonceVector {
  readonly slots: number;
  readonly max_nonce: number;
  readonly active_cap: Amount;
  readonly phase_at_end: number;
  readonly log: readonly {
    readonly nonce: number;
    readonly txs: readonly string[] | null;
    readonly accepted: boolean;
    readonly error?: string;
  }[];
}

function checkMaxNonce(tally: Tally, section: MaxNonceVector, { keys = {} }: VectorFile): void {
  tally.known("max_nonce", section, ["slots", "max_nonce", "active_cap", "phase_at_end", "log"]);
  const { slots, max_nonce: maxNonce } = section;
  tally.same("max_nonce.active_cap", section.active_cap, String(lastActiveNonce(maxNonce, slots)));
  let phase = 0;
  let last = 0;
  const known = new Set(Object.keys(keys).map((label) => labelled(label).address));
  const signers = signersOf(section.log.flatMap(({ txs }) => txs ?? []).map((tx) => decodeTx(bytes(tx))));
  signers.forEach((signer, index) => {
    tally.same(`max_nonce (signature ${index} is of a known key)`, true, known.has(signer));
  });
  section.log.forEach((each, index) => {
    const path = `max_nonce.log[${index}]`;
    tally.known(path, each, ["nonce", "what", "txs", "accepted", "error"]);
    tally.guarded(path, () => {
      const txs = decodeTxs(tally, `${path}.txs`, each.txs);
      const refusal = refusalOf(() => checkNonceBudget({ nonce: each.nonce, txs, phase, slots, maxNonce }));
      tally.same(`${path}.nonce`, each.nonce, last + 1);
      tally.same(`${path}.accepted`, each.accepted, refusal === undefined);
      tally.same(`${path}.error`, each.error, refusal?.message);
      if (refusal !== undefined) return;
      last = each.nonce;
      if (txs.some(({ kind }) => kind === "finalize")) phase = 1;
    });
  });
  tally.same("max_nonce.phase_at_end", section.phase_at_end, phase);
}

/** Whose signatures stand in confirms, finishes and timeout votes. Their session is told by the finishes alone. */
function signersOf(txs: readonly DevshardTx[]): string[] {
  const starts = new Map(
    txs.flatMap((tx) => (tx.kind === "start" ? [[tx.message.inferenceId, tx.message] as const] : [])),
  );
  const escrowId = txs.map((tx) => (tx.kind === "finish" ? tx.message.escrowId : "")).find((id) => id !== "") ?? "";
  return txs.flatMap((tx) => {
    if (tx.kind === "confirm") {
      const start = starts.get(tx.message.inferenceId);
      if (start === undefined) return [];
      const { confirmedAt, executorSig } = tx.message;
      return [recoverAddress(EXECUTOR_RECEIPT.encode({ ...start, escrowId, confirmedAt }), executorSig)];
    }
    if (tx.kind === "finish") {
      const { proposerSig, ...message } = tx.message;
      return [recoverAddress(FINISH_INFERENCE.encode({ ...message, proposerSig: new Uint8Array() }), proposerSig)];
    }
    if (tx.kind !== "timeout") return [];
    const { inferenceId, reason, votes } = tx.message;
    return votes.map(({ accept, signature }) =>
      recoverAddress(TIMEOUT_VOTE_CONTENT.encode({ escrowId, inferenceId, reason, accept }), signature),
    );
  });
}
