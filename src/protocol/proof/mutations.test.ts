import { describe, expect, it } from "vitest";
import { type Json, loadParticipantsSample, SHAPES } from "../../../test/support/participants-sample.ts";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import { verifyParticipants } from "./verify-participants.ts";

const { expected } = loadParticipantsSample();
const trust = { headerHash: expected.header_hash_hex, validatorsHash: expected.validators_hash_hex };

/** Encoded bytes inside a sample: where they are, and how they are written. */
interface Place {
  readonly holder: Json;
  readonly field: string;
  readonly encoding: "hex" | "base64";
}

function encodedBytes(response: Json, commit: Json): readonly Place[] {
  const [store, application] = response.proof_ops.ops;
  const hashes: Json = response.block.header;
  return [
    { holder: response, field: "active_participants_bytes", encoding: "hex" },
    ...[store, application].flatMap((holder: Json) => ["key", "data"].map((field) => place(holder, field))),
    ...Object.keys(hashes)
      .filter((field) => field.endsWith("_hash") || field === "proposer_address")
      .map((field) => place(hashes, field)),
    place(hashes.last_block_id, "hash"),
    place(hashes.last_block_id.parts ?? hashes.last_block_id.part_set_header, "hash"),
    ...response.block.last_commit.signatures.map((vote: Json) => place(vote, "signature")),
    ...response.block.last_commit.signatures.map((vote: Json) => place(vote, "validator_address")),
    ...response.validators.map(({ pub_key }: Json, index: number) =>
      typeof pub_key === "string" ? place(response.validators[index], "pub_key") : place(pub_key, "key"),
    ),
    place(commit.block_id, "hash"),
    place(commit.block_id.parts, "hash"),
    ...commit.signatures.slice(0, 2).map((vote: Json) => place(vote, "signature")),
    ...commit.signatures.slice(0, 2).map((vote: Json) => place(vote, "validator_address")),
  ];
}

function place(holder: Json, field: string): Place {
  const isHex = /^([0-9a-f]{64}|[0-9a-f]{40})$/i.test(holder[field]);
  return { holder, field, encoding: isHex ? "hex" : "base64" };
}

describe.each(SHAPES)("the sample in the %s shape", (shape) => {
  it("is refused after a flip in any byte of anything that is proven", () => {
    const { [shape]: response, commit_h_plus_1: commit } = loadParticipantsSample();
    expect(verifyParticipants({ response, commit, trust }).label).toBe("verified");
    let flips = 0;
    for (const { holder, field, encoding } of encodedBytes(response, commit)) {
      const original = holder[field];
      const bytes = Buffer.from(original, encoding);
      for (let index = 0; index < bytes.length; index++) {
        const flipped = Buffer.from(bytes);
        flipped[index] = (flipped[index] ?? 0) ^ (1 << ((index + flips++) % 8));
        holder[field] = flipped.toString(encoding);
        const error = thrownBy(() => verifyParticipants({ response, commit, trust }));
        expect(error.code, `${field}[${index}]`).toBe("proof_invalid");
      }
      holder[field] = original;
    }
    expect(flips).toBeGreaterThan(2500);
  });

  it("is refused after any change of a number, time or name that is hashed or signed", () => {
    const changes: readonly ((response: Json, commit: Json) => void)[] = [
      (r) => (r.block.header.version.block = 12),
      (r) => (r.block.header.version.app = 1),
      (r) => (r.block.header.chain_id = "gonka-sample-2"),
      (r) => (r.block.header.height = 123458),
      (r) => (r.block.header.time = "2026-05-01T12:00:02.100000002Z"),
      (r) => ((r.block.header.last_block_id.parts ?? r.block.header.last_block_id.part_set_header).total = 2),
      (r) => (r.block.last_commit.signatures[0].timestamp = "2026-05-01T12:00:01.100000001Z"),
      (r) => (r.block.last_commit.signatures[0].block_id_flag = 3),
      (r) => (r.validators[0].voting_power = 901),
      (r) => r.validators.pop(),
      (_r, c) => (c.height = 123456),
      (_r, c) => (c.round = 1),
      (_r, c) => (c.block_id.parts.total = 2),
      (_r, c) => (c.signatures[1].timestamp = "2026-05-01T12:00:07.1Z"),
      (_r, c) => (c.signatures[1].block_id_flag = 1),
      (_r, c) => (c.signatures[1].block_id_flag = 3),
      (_r, c) => (c.signatures[2] = { ...c.signatures[1], validator_address: nonSigner() }),
      (_r, c) => c.signatures.pop(),
    ];
    for (const change of changes) {
      const { [shape]: response, commit_h_plus_1: commit } = loadParticipantsSample();
      change(response, commit);
      const error = thrownBy(() => verifyParticipants({ response, commit, trust }));
      expect(error.code, String(change)).toBe("proof_invalid");
      expect(error.detail).toMatch(/^step [1-6]/);
    }
  });
});

/** Address of the third validator, who did not sign. */
function nonSigner(): string {
  return loadParticipantsSample().restored.addresses[2];
}
