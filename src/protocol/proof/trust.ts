import { brokenProof } from "./broken-proof.ts";
import { type Bytes, equalBytes, toHex } from "./bytes.ts";
import type { CheckedHeader } from "./check-block.ts";
import type { Signatures } from "./check-signatures.ts";
import { readHash } from "./read-encoded.ts";

/**
 * Hashes known from elsewhere: a block explorer, an own full node, a friend. Hex of 64 digits or base64 of 44 characters.
 * Each one that is given must match.
 */
export interface Trust {
  /** Hash of the very header that carries the proof (block H+1). */
  readonly headerHash?: string;
  /** Hash of the validator set that signs that header; changes with every epoch. */
  readonly validatorsHash?: string;
}

export function isPinned(trust: Trust | undefined): trust is Trust {
  return trust?.headerHash !== undefined || trust?.validatorsHash !== undefined;
}

/** True when the header follows from a pinned hash, false when none is pinned; throws `proof_invalid` otherwise. */
export function checkTrust(trust: Trust | undefined, { header, hash }: CheckedHeader, signatures: Signatures): boolean {
  if (!isPinned(trust)) return false;
  if (trust.headerHash !== undefined && !equalBytes(readPin(trust.headerHash), hash)) {
    throw brokenProof(`the header of block ${header.height} has the hash ${toHex(hash)}, which is not the pinned one`);
  }
  if (trust.validatorsHash === undefined) return true;
  if (!equalBytes(readPin(trust.validatorsHash), header.validatorsHash)) {
    throw brokenProof(`the validator set is ${toHex(header.validatorsHash)}, which is not the pinned one`);
  }
  if (signatures.missing !== undefined) throw brokenProof(signatures.missing);
  return true;
}

function readPin(text: string): Bytes {
  const bytes = readHash(text, "the pinned hash");
  if (bytes.length === 0) throw brokenProof("the pinned hash is empty");
  return bytes;
}
