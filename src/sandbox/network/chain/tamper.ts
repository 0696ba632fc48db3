/**
 * How the network may lie about its participants.
 * - `attacker-json`: the readable list names an attacker's URL, the proven bytes do not.
 * - `fabricated`: attacker URL in the bytes too, under another key and store, with a header of its own making.
 * - `wrong-store`: a good proof, but out of the store `bank`.
 * - `wrong-key`: a good proof of the right bytes, under another epoch's key.
 * - `previous-epoch`: the good answer of the epoch before.
 * - `flipped-proof`: one bit of a hash in the proof is turned.
 * - `loose-spec`: the hashes fit, but a step of the proof is of a form ICS23 forbids.
 * - `other-chain`: all good, for another chain id.
 * - `few-signatures`: not more than 2/3 of the power has signed the header.
 * - `forged-signatures`: signatures of the right validators that do not verify.
 * - `other-validators`: all good, signed by validators nobody trusts.
 * - `no-proof`: `proof_ops` and `block` are null.
 */
export type Tampering =
  | "attacker-json"
  | "fabricated"
  | "wrong-store"
  | "wrong-key"
  | "previous-epoch"
  | "flipped-proof"
  | "loose-spec"
  | "other-chain"
  | "few-signatures"
  | "forged-signatures"
  | "other-validators"
  | "no-proof";

/** Where the fabricated lists point. Nothing listens there. */
export const ATTACKER_URL = "http://attacker.invalid:8000";
