import { type MessageOf, protobufMessage } from "../protobuf.ts";
import { HOST_STATS } from "./messages.ts";
import type { Settlement } from "./settlement.ts";
import { type DevshardSigner, sha256 } from "./signing.ts";

/*
 * The two transactions of an escrow's creator, as bytes: SIGN_MODE_DIRECT, unordered (sequence 0 and a timeout in place of
 * it). Sources: cosmos-sdk v0.53 `proto/cosmos/tx/v1beta1/tx.proto`; gonka-ai/gonka `inference-chain` for the messages.
 * Zero scalars are left out, as the SDK's own encoder does.
 */

const MSG_CREATE = protobufMessage({
  creator: [1, "string"],
  amount: [2, "uint64"],
  modelId: [3, "string"],
});

const SLOT_SIGNATURE = protobufMessage({ slotId: [1, "uint32"], signature: [2, "bytes"] });

const MSG_SETTLE = protobufMessage({
  settler: [1, "string"],
  escrowId: [2, "uint64"],
  stateRoot: [3, "bytes"],
  nonce: [4, "uint64"],
  restHash: [5, "bytes"],
  hostStats: [6, "repeated", HOST_STATS],
  signatures: [7, "repeated", SLOT_SIGNATURE],
  fees: [8, "uint64"],
  version: [9, "string"],
});

const ANY = protobufMessage({ typeUrl: [1, "string"], value: [2, "bytes"] });

/** A message with its type, as a transaction carries it. */
export type ChainMessage = MessageOf<typeof ANY>;

export function createEscrowMessage(creator: string, amount: bigint, modelId: string): ChainMessage {
  return {
    typeUrl: "/inference.inference.MsgCreateDevshardEscrow",
    value: MSG_CREATE.encode({ creator, amount, modelId }),
  };
}

/** @param settler the escrow's creator; the chain takes it from nobody else */
export function settleEscrowMessage(settler: string, settlement: Settlement): ChainMessage {
  const { escrowId, stateRoot, nonce, restHash, hostStats, fees, version } = settlement;
  const signatures = [...settlement.signatures].map(([slotId, signature]) => ({ slotId, signature }));
  return {
    typeUrl: "/inference.inference.MsgSettleDevshardEscrow",
    value: MSG_SETTLE.encode({
      settler,
      escrowId: BigInt(escrowId),
      stateRoot,
      nonce: BigInt(nonce),
      restHash,
      hostStats,
      signatures,
      fees,
      version,
    }),
  };
}

const TIMESTAMP = protobufMessage({ seconds: [1, "int64"], nanos: [2, "enum"] });
const TX_BODY = protobufMessage({
  messages: [1, "repeated", ANY],
  unordered: [4, "bool"],
  timeoutTimestamp: [5, "message", TIMESTAMP],
});
const COIN = protobufMessage({ denom: [1, "string"], amount: [2, "string"] });
const FEE = protobufMessage({ amount: [1, "repeated", COIN], gasLimit: [2, "uint64"] });
const PUBLIC_KEY = protobufMessage({ key: [1, "bytes"] });
const SINGLE_MODE = protobufMessage({ mode: [1, "enum"] });
const MODE_INFO = protobufMessage({ single: [1, "message", SINGLE_MODE] });
const SIGNER_INFO = protobufMessage({
  publicKey: [1, "message", ANY],
  modeInfo: [2, "message", MODE_INFO],
  sequence: [3, "uint64"],
});
const AUTH_INFO = protobufMessage({ signerInfos: [1, "repeated", SIGNER_INFO], fee: [2, "message", FEE] });
const SIGN_DOC = protobufMessage({
  bodyBytes: [1, "bytes"],
  authInfoBytes: [2, "bytes"],
  chainId: [3, "string"],
  accountNumber: [4, "uint64"],
});
const TX_RAW = protobufMessage({
  bodyBytes: [1, "bytes"],
  authInfoBytes: [2, "bytes"],
  signature: [3, "bytes"],
});

const SIGN_MODE_DIRECT = 1;

interface UnorderedTx {
  readonly message: ChainMessage;
  readonly chainId: string;
  readonly accountNumber: bigint;
  /** ngonka; 0 writes no coin, which the chain takes for a settlement. */
  readonly fee: bigint;
  readonly gasLimit: bigint;
  /**
   * Until when the chain takes it, nanoseconds since 1970: at most 10 minutes ahead, and never the same for two
   * transactions of one account, as it stands in for the sequence.
   */
  readonly timeoutNanos: bigint;
}

interface SignedTx {
  readonly bodyBytes: Uint8Array;
  readonly authInfoBytes: Uint8Array;
  readonly signDoc: Uint8Array;
  /** r ‖ s, 64 bytes. */
  readonly signature: Uint8Array;
  /** What is broadcast, as base64 in `tx_bytes`. */
  readonly txRaw: Uint8Array;
  /** Upper-case hex; known, and to be written down, before the first broadcast. */
  readonly hash: string;
}

const NANOS_PER_SECOND = 1_000_000_000n;

export function signUnorderedTx(tx: UnorderedTx, signer: DevshardSigner): SignedTx {
  const { message, chainId, accountNumber, fee, gasLimit, timeoutNanos } = tx;
  const bodyBytes = TX_BODY.encode({
    messages: [message],
    unordered: true,
    timeoutTimestamp: { seconds: timeoutNanos / NANOS_PER_SECOND, nanos: Number(timeoutNanos % NANOS_PER_SECOND) },
  });
  const publicKey = {
    typeUrl: "/cosmos.crypto.secp256k1.PubKey",
    value: PUBLIC_KEY.encode({ key: signer.publicKey }),
  };
  const authInfoBytes = AUTH_INFO.encode({
    signerInfos: [{ publicKey, modeInfo: { single: { mode: SIGN_MODE_DIRECT } }, sequence: 0n }],
    fee: { amount: fee === 0n ? [] : [{ denom: "ngonka", amount: fee.toString() }], gasLimit },
  });
  const signDoc = SIGN_DOC.encode({ bodyBytes, authInfoBytes, chainId, accountNumber });
  const signature = signer.sign(signDoc).slice(0, 64);
  const txRaw = TX_RAW.encode({ bodyBytes, authInfoBytes, signature });
  const hash = Buffer.from(sha256(txRaw)).toString("hex").toUpperCase();
  return { bodyBytes, authInfoBytes, signDoc, signature, txRaw, hash };
}

/** The fields of a MsgCreateDevshardEscrow. Throws `MalformedProtobuf`. */
export function decodeCreateEscrow(value: Uint8Array): MessageOf<typeof MSG_CREATE> {
  return MSG_CREATE.decode(value);
}
