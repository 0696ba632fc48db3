import { describe, expect, it } from "vitest";
import { ATTACKER_URL, forgeParticipants } from "../../test/support/forge-participants.ts";
import { type Json, loadParticipantsSample, SHAPES } from "../../test/support/participants-sample.ts";
import { thrownBy } from "../../test/support/thrown-by.ts";
import {
  eligibleEndpoints,
  parseParticipants,
  type VerifyParticipantsInput,
  verifyParticipants,
} from "./participants.ts";

const { expected, commit_h_plus_1: commit } = loadParticipantsSample();
const PINNED = { headerHash: expected.header_hash_hex, validatorsHash: expected.validators_hash_hex };

describe.each(SHAPES)("the sample in the %s shape", (shape) => {
  const sample = () => loadParticipantsSample()[shape];

  it("is verified against pinned hashes, with every intermediate value", () => {
    const result = verifyParticipants({ response: sample(), commit, trust: PINNED, chainId: expected.chain_id });
    expect(result.label).toBe("verified");
    expect(result.reasons).toEqual([]);
    expect(result.epochId).toBe(BigInt(expected.epoch));
    expect(result.createdAtBlockHeight).toBe(BigInt(expected.proof_height));
    expect(result.evidence).toEqual({
      chainId: expected.chain_id,
      headerHeight: BigInt(expected.header_height),
      headerTimeMs: Date.UTC(2026, 4, 1, 12, 0, 2, 100),
      storeRoot: expected.store_root_hex,
      appHash: expected.app_hash_hex,
      headerHash: expected.header_hash_hex,
      validatorsHash: expected.validators_hash_hex,
      signed: { signedPower: BigInt(expected.signed_power), totalPower: BigInt(expected.total_power) },
    });
  });

  it("gives the endpoints after exclusion", () => {
    const { participants, excluded } = verifyParticipants({ response: sample() });
    expect(eligibleEndpoints(participants, { excluded }).endpoints).toEqual(
      expected.endpoints_after_exclusion.map(([url, address]) => ({ baseURL: `${url}/v1`, address })),
    );
  });

  it.each([
    [{ headerHash: PINNED.headerHash }, undefined],
    [{ headerHash: PINNED.headerHash.toUpperCase() }, undefined],
    [{ headerHash: Buffer.from(PINNED.headerHash, "hex").toString("base64") }, undefined],
    [{ validatorsHash: PINNED.validatorsHash }, commit],
  ])("is verified with %j pinned", (trust, given) => {
    expect(verifyParticipants({ response: sample(), commit: given, trust }).label).toBe("verified");
  });

  it("is self-consistent without a pinned hash, whatever else is given", () => {
    const bare = verifyParticipants({ response: sample() });
    expect(bare.label).toBe("self-consistent");
    expect(bare.reasons.join(" ")).toMatch(/pinned.*No commit of block 123457/);
    const signed = verifyParticipants({ response: sample(), commit, trust: {} });
    expect(signed.label).toBe("self-consistent");
    expect(signed.evidence?.signed?.signedPower).toBe(BigInt(expected.signed_power));
  });

  it.each([
    ["proof_ops", null],
    ["proof_ops", undefined],
    ["proof_ops", { ops: [] }],
    ["proof_ops", { ops: null }],
    ["block", null],
    ["block", undefined],
  ])("is unverified when %s is %j, and no list at all when a hash is pinned", (field, value) => {
    const response = { ...sample(), [field]: value };
    const result = verifyParticipants({ response });
    expect(result.label).toBe("unverified");
    expect(result.evidence).toBeUndefined();
    expect(result.participants).toHaveLength(3);
    const error = thrownBy(() => verifyParticipants({ response, trust: PINNED }));
    expect(error).toMatchObject({ code: "proof_invalid", detail: expect.stringContaining("step 6") });
  });

  it("takes participants from the proven bytes and tells of a copy that differs", () => {
    const response = sample();
    response.active_participants.participants[0].inference_url = ATTACKER_URL;
    const result = verifyParticipants({ response });
    expect(JSON.stringify(result.participants.map(({ inferenceUrl }) => inferenceUrl))).not.toContain(ATTACKER_URL);
    expect(result.reasons.join(" ")).toContain("differs from the proven one");
    delete response.active_participants;
    expect(verifyParticipants({ response }).participants).toHaveLength(3);
  });

  it.each<[string, Partial<VerifyParticipantsInput>, string]>([
    ["another chain", { chainId: "gonka-mainnet" }, "step 4"],
    ["another epoch", { epochId: 41n }, "step 3"],
    ["another pinned header", { trust: { headerHash: "00".repeat(32) } }, "step 6"],
    ["another pinned set", { trust: { validatorsHash: "00".repeat(32) } }, "step 6"],
    ["one of two pinned hashes", { trust: { ...PINNED, headerHash: "00".repeat(32) } }, "step 6"],
    ["a pinned hash that is none", { trust: { headerHash: "abc" } }, "step 6"],
    ["an empty pinned hash", { trust: { headerHash: "" } }, "step 6"],
    [
      "a pinned set without a commit",
      { commit: undefined, trust: { validatorsHash: PINNED.validatorsHash } },
      "step 6",
    ],
    ["an incomplete set", { validators: sample().validators.slice(0, 2) }, "step 5"],
    ["a commit of the wrong form", { commit: {} }, "step 5"],
  ])("is refused for %s", (_what, change, step) => {
    const error = thrownBy(() => verifyParticipants({ response: sample(), commit, trust: PINNED, ...change }));
    expect(error.code).toBe("proof_invalid");
    expect(error.detail).toContain(step);
  });

  it("does not mistake one page of validators for a lie", () => {
    const response = sample();
    response.validators = response.validators.slice(0, 1);
    const result = verifyParticipants({ response, commit });
    expect(result.label).toBe("self-consistent");
    expect(result.reasons.join(" ")).toContain("were not all given");
    const pages = [
      { result: { validators: sample().validators.slice(0, 2) } },
      { validators: sample().validators.slice(2) },
    ];
    expect(verifyParticipants({ response, commit, validators: pages, trust: PINNED }).label).toBe("verified");
  });

  it("does not count a power beyond 64 bits, which would have the hash of a smaller one", () => {
    const response = sample();
    const oneVote = structuredClone(commit);
    const others = oneVote.signatures.slice(1);
    for (const vote of others) Object.assign(vote, { block_id_flag: 1, validator_address: "", signature: null });
    const trust = { validatorsHash: PINNED.validatorsHash };
    const input = { response, commit: oneVote, trust };
    expect(thrownBy(() => verifyParticipants(input)).detail).toContain("900 of 2000 voting power");
    response.validators[0].voting_power = String(2n ** 64n + 900n);
    expect(thrownBy(() => verifyParticipants(input)).detail).toContain("does not fit into 64 bits");
  });

  it.each<[string, (response: Json, commit: Json) => void]>([
    ["the height of the header", (r) => (r.block.header.height = beyond64Bits(r.block.header.height))],
    ["the version", (r) => (r.block.header.version.block = beyond64Bits(11))],
    ["the number of parts", (_r, c) => (c.block_id.parts.total = beyond64Bits(c.block_id.parts.total))],
    ["the round", (_r, c) => (c.round = String(2n ** 63n))],
    ["the height of the commit", (_r, c) => (c.height = beyond64Bits(c.height))],
  ])("refuses a number beyond 64 bits: %s", (_what, damage) => {
    const response = sample();
    const damaged = structuredClone(commit);
    damage(response, damaged);
    const error = thrownBy(() => verifyParticipants({ response, commit: damaged, trust: PINNED }));
    expect(error).toMatchObject({ code: "proof_invalid", detail: expect.stringContaining("64 bits") });
  });

  it.each<[string, (response: Json) => void, string]>([
    ["another operation type", (r) => (r.proof_ops.ops[0].type = "ics23:smt"), "step 1"],
    ["the two parts exchanged", (r) => r.proof_ops.ops.reverse(), "step 1"],
    ["one part only", (r) => r.proof_ops.ops.pop(), "step 1"],
    ["three parts", (r) => r.proof_ops.ops.push(r.proof_ops.ops[1]), "step 1"],
    ["another store name", (r) => (r.proof_ops.ops[1].key = "YmFuaw=="), "step 2"],
    ["another value", (r) => (r.active_participants_bytes = withOtherUrl(r.active_participants_bytes)), "step 1"],
    ["no value", (r) => (r.active_participants_bytes = ""), "step 3"],
    ["another app_hash", (r) => (r.block.header.app_hash = "00".repeat(32)), "step 4"],
    ["another last commit", (r) => r.block.last_commit.signatures.pop(), "step 4"],
    ["a header without a time", (r) => delete r.block.header.time, "step 4"],
    ["another header", (r) => (r.block.header.data_hash = "00".repeat(32)), "step 5"],
  ])("is refused with %s", (_what, damage, step) => {
    const response = sample();
    damage(response);
    const error = thrownBy(() => verifyParticipants({ response, commit, trust: PINNED }));
    expect(error.code).toBe("proof_invalid");
    expect(error.detail).toContain(step);
  });
});

function beyond64Bits(number: number | string): string {
  return String(BigInt(number) + 2n ** 64n);
}

/** The record with the first URL scheme in it changed; lengths stay, so it can still be decoded. */
function withOtherUrl(recordHex: string): string {
  return recordHex.replace(Buffer.from("http:").toString("hex"), Buffer.from("htTp:").toString("hex"));
}

describe("a fabricated list", () => {
  it("is refused when made as the official clients accept it", () => {
    const { response, commit: votes } = forgeParticipants({
      storeKey: Buffer.from("anything"),
      storeName: "evil",
      twinUrl: ATTACKER_URL,
    });
    const error = thrownBy(() => verifyParticipants({ response, commit: votes }));
    expect(error).toMatchObject({ code: "proof_invalid", detail: expect.stringContaining("step 1") });
  });

  it.each([
    ["a wrong key", { storeKey: Buffer.from("ActiveParticipants/value/") }, "step 1"],
    ["a wrong store name", { storeName: "bank" }, "step 2"],
    ["a leaf of another tree", { leafPrefix: "01" }, "step 1"],
    ["a leaf that is an inner node", { leafPrefix: "020202" }, "step 1"],
    ["a leaf with more in its prefix", { leafPrefix: `00020220${"aa".repeat(32)}` }, "step 1"],
    ["a record of another block", { createdAtBlockHeight: 5n }, "step 3"],
  ])("is refused for %s alone", (_what, forgery, step) => {
    const { response, commit: votes } = forgeParticipants(forgery);
    const error = thrownBy(() => verifyParticipants({ response, commit: votes }));
    expect(error).toMatchObject({ code: "proof_invalid", detail: expect.stringContaining(step) });
  });

  it("is never verified, however perfect: a pinned hash refuses it, without one it is only self-consistent", () => {
    const { response, commit: votes } = forgeParticipants();
    const result = verifyParticipants({ response, commit: votes, chainId: expected.chain_id });
    expect(result.label).toBe("self-consistent");
    expect(result.evidence?.signed?.signedPower).toBe(1n);
    for (const trust of [PINNED, { headerHash: PINNED.headerHash }, { validatorsHash: PINNED.validatorsHash }]) {
      const error = thrownBy(() => verifyParticipants({ response, commit: votes, trust }));
      expect(error).toMatchObject({ code: "proof_invalid", detail: expect.stringContaining("step 6") });
    }
  });
});

const sample = loadParticipantsSample();

describe.each(SHAPES)("participants in the %s shape", (shape) => {
  const { active, excluded } = parseParticipants(sample[shape]);

  it("are read with exact numbers", () => {
    expect(active.epochId).toBe(BigInt(sample.expected.epoch));
    expect(active.createdAtBlockHeight).toBe(BigInt(sample.expected.proof_height));
    expect(active.participants.map(({ weight }) => weight)).toEqual([900n, 600n, 500n]);
    expect(excluded.map(({ reason }) => reason)).toEqual(["invalidated"]);
  });

  it("give the endpoints that are not excluded", () => {
    const { endpoints, skipped } = eligibleEndpoints(active.participants, { excluded });
    expect(endpoints).toEqual(
      sample.expected.endpoints_after_exclusion.map(([url, address]) => ({ baseURL: `${url}/v1`, address })),
    );
    expect(skipped).toEqual([{ address: excluded[0]?.address, reason: "excluded from this epoch (invalidated)" }]);
  });
});

describe("parseParticipants", () => {
  it("takes absent and null lists for empty ones", () => {
    for (const participants of [undefined, null, []]) {
      const response = { active_participants: { participants, epoch_id: "7" }, excluded_participants: participants };
      expect(parseParticipants(response)).toMatchObject({ active: { participants: [], epochId: 7n }, excluded: [] });
    }
  });

  it.each([
    null,
    {},
    { active_participants: [] },
    { active_participants: { participants: [{ weight: 1 }] } },
    { active_participants: { participants: [{ index: "a", weight: -1 }] } },
    { active_participants: { participants: [{ index: "a", models: "m" }] } },
    { active_participants: { epoch_id: 1.5 } },
    { active_participants: {}, excluded_participants: [{}] },
  ])("refuses %j", (value) => {
    expect(thrownBy(() => parseParticipants(value)).code).toBe("bad_response");
  });
});

describe("eligibleEndpoints", () => {
  const participant = {
    address: "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le",
    inferenceUrl: "http://node.example:8000//",
    models: ["Qwen/x"],
    weight: 1n,
  };
  const reasonFor = (change: Partial<typeof participant>, rules = {}) =>
    eligibleEndpoints([{ ...participant, ...change }], rules).skipped[0]?.reason;

  it("takes a node that is listed twice for one", () => {
    const twice = [participant, { ...participant, inferenceUrl: "http://other.example" }];
    const { endpoints, skipped } = eligibleEndpoints(twice);
    expect(endpoints).toHaveLength(1);
    expect(skipped).toEqual([{ address: participant.address, reason: "is listed twice" }]);
  });

  it("normalises the URL to exactly one /v1", () => {
    expect(eligibleEndpoints([participant]).endpoints).toEqual([
      { baseURL: "http://node.example:8000/v1", address: participant.address },
    ]);
  });

  it("takes an empty allow-list for everyone, and obeys one that is not empty", () => {
    expect(reasonFor({}, { allowedTransferAddresses: [] })).toBeUndefined();
    expect(reasonFor({}, { allowedTransferAddresses: [participant.address] })).toBeUndefined();
    expect(reasonFor({}, { allowedTransferAddresses: ["gonka1other"] })).toContain("list of transfer agents");
  });

  it("knows who serves a model, letter by letter", () => {
    expect(reasonFor({}, { model: "Qwen/x" })).toBeUndefined();
    expect(reasonFor({}, { model: "qwen/x" })).toContain("model");
  });

  it.each(["", "node.example:8000", "ftp://node.example", "http://", "http://u:p@node.example"])(
    "leaves out a node with the URL %j",
    (inferenceUrl) => {
      expect(reasonFor({ inferenceUrl })).toContain("URL");
    },
  );

  it("leaves out a node whose address is none, or of another network", () => {
    expect(reasonFor({ address: "gonka1node1placeholder000000000000000000000" })).toContain("address");
    expect(reasonFor({}, { prefix: "cosmos" })).toContain("address");
  });
});

const { expected: expectedInMutations } = loadParticipantsSample();
const trust = {
  headerHash: expectedInMutations.header_hash_hex,
  validatorsHash: expectedInMutations.validators_hash_hex,
};

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
