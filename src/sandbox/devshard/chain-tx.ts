import { hash } from "node:crypto";
import { MalformedProtobuf, type MessageOf, protobufMessage } from "../../wire/protobuf.ts";
import { verifySignature } from "../network/crypto/verify-signature.ts";

/*
 * Transactions as the chain reads them. The tables are written from the .proto files once more, and not shared with the
 * code that writes transactions, so that a wrong number there is found here.
 * Sources: cosmos-sdk v0.53 proto/cosmos/tx/v1beta1/tx.proto; gonka-ai/gonka inference-chain proto/inference/inference/tx.proto.
 */

const ANY = protobufMessage({ typeUrl: [1, "string"], value: [2, "bytes"] });
const TX_RAW = protobufMessage({ bodyBytes: [1, "bytes"], authInfoBytes: [2, "bytes"], signature: [3, "bytes"] });
const TIMESTAMP = protobufMessage({ seconds: [1, "int64"], nanos: [2, "enum"] });
const TX_BODY = protobufMessage({
  messages: [1, "repeated", ANY],
  unordered: [4, "bool"],
  timeout: [5, "message", TIMESTAMP],
});
const COIN = protobufMessage({ denom: [1, "string"], amount: [2, "string"] });
const FEE = protobufMessage({ amount: [1, "repeated", COIN], gasLimit: [2, "uint64"] });
const SINGLE = protobufMessage({ mode: [1, "enum"] });
const MODE_INFO = protobufMessage({ single: [1, "message", SINGLE] });
const SIGNER_INFO = protobufMessage({
  publicKey: [1, "message", ANY],
  modeInfo: [2, "message", MODE_INFO],
  sequence: [3, "uint64"],
});
const AUTH_INFO = protobufMessage({ signers: [1, "repeated", SIGNER_INFO], fee: [2, "message", FEE] });
const PUBLIC_KEY = protobufMessage({ key: [1, "bytes"] });
const SIGN_DOC = protobufMessage({
  bodyBytes: [1, "bytes"],
  authInfoBytes: [2, "bytes"],
  chainId: [3, "string"],
  accountNumber: [4, "uint64"],
});

const CREATE = protobufMessage({ creator: [1, "string"], amount: [2, "uint64"], modelId: [3, "string"] });
const SLOT_STATS = protobufMessage({
  slotId: [1, "uint32"],
  missed: [2, "uint32"],
  invalid: [3, "uint32"],
  cost: [4, "uint64"],
  requiredValidations: [5, "uint32"],
  completedValidations: [6, "uint32"],
});
const SLOT_SIGNATURE = protobufMessage({ slotId: [1, "uint32"], signature: [2, "bytes"] });
const SETTLE = protobufMessage({
  settler: [1, "string"],
  escrowId: [2, "uint64"],
  stateRoot: [3, "bytes"],
  nonce: [4, "uint64"],
  restHash: [5, "bytes"],
  hostStats: [6, "repeated", SLOT_STATS],
  signatures: [7, "repeated", SLOT_SIGNATURE],
  fees: [8, "uint64"],
  version: [9, "string"],
});

export type CreateMessage = MessageOf<typeof CREATE>;
export type SettleMessage = MessageOf<typeof SETTLE>;

/** What the sandbox's chain executes; it has no other messages. */
export type EscrowMessage =
  | { readonly kind: "create"; readonly message: CreateMessage }
  | { readonly kind: "settle"; readonly message: SettleMessage };

/** A refusal with the SDK's numbers: `codespace` and `code` of a `tx_response`. */
export class TxRefusal extends Error {
  readonly code: number;
  readonly codespace: string;

  constructor(code: number, text: string, codespace = "sdk") {
    super(text);
    this.code = code;
    this.codespace = codespace;
  }
}

/** A transaction that could be read; its signature is checked by {@link checkSignature}. */
export interface ChainTx {
  /** Upper-case hex. */
  readonly hash: string;
  readonly escrow: EscrowMessage;
  readonly isUnordered: boolean;
  readonly sequence: bigint;
  readonly timeoutNanos: bigint;
  /** ngonka */
  readonly fee: bigint;
  readonly gasLimit: bigint;
  readonly publicKey: Uint8Array;
  readonly raw: MessageOf<typeof TX_RAW>;
}

/** Reads TxRaw. Throws {@link TxRefusal} 2 for bytes that are none, 18 for what this chain cannot execute. */
export function readTx(bytes: Uint8Array): ChainTx {
  try {
    const raw = TX_RAW.decode(bytes);
    const body = TX_BODY.decode(raw.bodyBytes);
    const auth = AUTH_INFO.decode(raw.authInfoBytes);
    const [message, ...others] = body.messages;
    const [signer, ...moreSigners] = auth.signers;
    if (message === undefined || others.length > 0) throw new TxRefusal(18, "must contain exactly one message");
    if (signer === undefined || moreSigners.length > 0) throw new TxRefusal(4, "wrong number of signers");
    if (signer.modeInfo?.single?.mode !== 1) throw new TxRefusal(4, "only SIGN_MODE_DIRECT is supported");
    if (signer.publicKey?.typeUrl !== "/cosmos.crypto.secp256k1.PubKey") throw new TxRefusal(8, "invalid pubkey");
    const coins = auth.fee?.amount ?? [];
    if (coins.some(({ denom }) => denom !== "ngonka")) throw new TxRefusal(13, "fees must be paid in ngonka");
    const { seconds, nanos } = body.timeout ?? { seconds: 0n, nanos: 0 };
    return {
      hash: hash("sha256", bytes, "hex").toUpperCase(),
      escrow: escrowMessage(message),
      isUnordered: body.unordered,
      sequence: signer.sequence,
      timeoutNanos: seconds * 1_000_000_000n + BigInt(nanos),
      fee: coins.reduce((sum, { amount }) => sum + BigInt(amount), 0n),
      gasLimit: auth.fee?.gasLimit ?? 0n,
      publicKey: PUBLIC_KEY.decode(signer.publicKey.value).key,
      raw,
    };
  } catch (error) {
    if (error instanceof MalformedProtobuf || error instanceof SyntaxError)
      throw new TxRefusal(2, `tx parse error: ${error.message}`);
    throw error;
  }
}

/** Throws {@link TxRefusal} 4 unless the key signed exactly this transaction for this account of this chain. */
export function checkSignature(
  { raw, publicKey }: ChainTx,
  { chainId, accountNumber }: { readonly chainId: string; readonly accountNumber: bigint },
): void {
  const { bodyBytes, authInfoBytes, signature } = raw;
  const signDoc = SIGN_DOC.encode({ bodyBytes, authInfoBytes, chainId, accountNumber });
  if (verifySignature(publicKey, signDoc, Buffer.from(signature).toString("base64")) === undefined) return;
  throw new TxRefusal(
    4,
    `signature verification failed; please verify account number (${accountNumber}) and chain-id (${chainId}): unauthorized`,
  );
}

function escrowMessage({ typeUrl, value }: MessageOf<typeof ANY>): EscrowMessage {
  if (typeUrl === "/inference.inference.MsgCreateDevshardEscrow")
    return { kind: "create", message: CREATE.decode(value) };
  if (typeUrl === "/inference.inference.MsgSettleDevshardEscrow")
    return { kind: "settle", message: SETTLE.decode(value) };
  throw new TxRefusal(2, `unable to resolve type URL ${typeUrl}: tx parse error`);
}
