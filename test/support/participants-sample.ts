import { readFileSync } from "node:fs";

/** `vectors/participants-sample.json`: the same content in the two shapes on the network, and what a verifier must find. */
export interface ParticipantsSample {
  readonly restored: Json;
  readonly v0_2_15: Json;
  readonly commit_h_plus_1: Json;
  readonly expected: {
    readonly chain_id: string;
    readonly epoch: number;
    readonly proof_height: number;
    readonly header_height: number;
    readonly iavl_key_hex: string;
    readonly store_root_hex: string;
    readonly app_hash_hex: string;
    readonly validators_hash_hex: string;
    readonly header_hash_hex: string;
    readonly last_commit_hash_hex: string;
    readonly signed_power: number;
    readonly total_power: number;
    readonly first_precommit_sign_bytes_hex: string;
    readonly endpoints_after_exclusion: readonly (readonly [url: string, address: string])[];
  };
}

// biome-ignore lint/suspicious/noExplicitAny: tests damage these objects at will, in places no type describes
export type Json = any;

/** A fresh copy for each call, so that tests may change it. */
export function loadParticipantsSample(): ParticipantsSample {
  return JSON.parse(readFileSync(new URL("../../vectors/participants-sample.json", import.meta.url), "utf8"));
}

export const SHAPES = ["restored", "v0_2_15"] as const;
