import { createEscrowMessage, decodeCreateEscrow, settleEscrowMessage, signUnorderedTx } from "../chain-tx.ts";
import { applyDiff } from "../compose.ts";
import { Ledger } from "../ledger.ts";
import { type SessionVector, settlementFrom } from "./session.ts";
import { bytes, configOf, decodeTxs, grantsOf, labelled, Tally } from "./tally.ts";

interface ChainTxVector {
  readonly name: string;
  readonly signer: string;
  readonly address: string;
  readonly chain_id: string;
  readonly account_number: string;
  readonly timeout_seconds: number;
  readonly timeout_nanos: number;
  readonly fee_amount: string;
  readonly fee_denom: string;
  readonly gas_limit: string;
  readonly type_url: string;
  readonly msg: string;
  readonly body_bytes: string;
  readonly auth_info_bytes: string;
  readonly sign_doc: string;
  readonly signature: string;
  readonly tx_raw: string;
  readonly tx_bytes_base64: string;
  readonly tx_hash: string;
  /** Whose settlement a settle transaction carries. */
  readonly session?: string;
}

const MEMBERS = [
  ...["name", "note", "signer", "address", "chain_id", "account_number", "timeout_seconds", "timeout_nanos"],
  ...["fee_amount", "fee_denom", "gas_limit", "type_url", "msg", "body_bytes", "auth_info_bytes", "sign_doc"],
  ...["signature", "tx_raw", "tx_bytes_base64", "tx_hash", "session"],
];

/** Transactions for the chain; what a settlement carries is computed by running its session. */
export function checkChainTx(
  tally: Tally,
  cases: readonly ChainTxVector[],
  { sessions = {} }: { readonly sessions?: Readonly<Record<string, SessionVector>> },
): void {
  cases.forEach((each, index) => {
    const path = `chain_tx[${index}]`;
    tally.known(path, each, MEMBERS);
    tally.guarded(path, () => checkTx(tally, path, each, sessions));
  });
}

function checkTx(
  tally: Tally,
  path: string,
  vector: ChainTxVector,
  sessions: Readonly<Record<string, SessionVector>>,
): void {
  const signer = labelled(vector.signer);
  const message = messageOf(vector, sessions);
  const signed = signUnorderedTx(
    {
      message,
      chainId: vector.chain_id,
      accountNumber: BigInt(vector.account_number),
      fee: BigInt(vector.fee_amount),
      gasLimit: BigInt(vector.gas_limit),
      timeoutNanos: BigInt(vector.timeout_seconds) * 1_000_000_000n + BigInt(vector.timeout_nanos),
    },
    signer,
  );
  tally.same(`${path}.address`, vector.address, signer.address);
  tally.same(`${path}.fee_denom`, vector.fee_denom, "ngonka");
  tally.same(`${path}.type_url`, vector.type_url, message.typeUrl);
  tally.same(`${path}.msg`, vector.msg, message.value);
  tally.same(`${path}.body_bytes`, vector.body_bytes, signed.bodyBytes);
  tally.same(`${path}.auth_info_bytes`, vector.auth_info_bytes, signed.authInfoBytes);
  tally.same(`${path}.sign_doc`, vector.sign_doc, signed.signDoc);
  tally.same(`${path}.signature`, vector.signature, signed.signature);
  tally.same(`${path}.tx_raw`, vector.tx_raw, signed.txRaw);
  tally.same(`${path}.tx_bytes_base64`, vector.tx_bytes_base64, Buffer.from(signed.txRaw).toString("base64"));
  tally.same(`${path}.tx_hash`, vector.tx_hash, signed.hash);
}

function messageOf(
  vector: ChainTxVector,
  sessions: Readonly<Record<string, SessionVector>>,
): ReturnType<typeof createEscrowMessage> {
  const creator = labelled(vector.signer).address;
  if (vector.session === undefined) {
    // Amount and model stand nowhere but in the message.
    const { amount, modelId } = decodeCreateEscrow(bytes(vector.msg));
    return createEscrowMessage(creator, amount, modelId);
  }
  const session = sessions[vector.session];
  if (session?.settlement === undefined) throw new RangeError(`there is no session ${vector.session}`);
  const ledger = new Ledger(configOf(session.config));
  const rules = grantsOf(session.config);
  for (const { nonce, txs, user_sig, post_state_root } of session.steps) {
    const postStateRoot = bytes(post_state_root);
    applyDiff(ledger, { nonce, txs: decodeTxs(new Tally(), "", txs), userSig: bytes(user_sig), postStateRoot }, rules);
  }
  return settleEscrowMessage(creator, settlementFrom(session.settlement, ledger));
}
