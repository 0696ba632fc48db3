import { describe, expect, it } from "vitest";
import { loadParticipantsSample, SHAPES } from "../../test/support/participants-sample.ts";
import { readTime, sha256, toHex } from "./bytes.ts";
import { participantsKey } from "./ics23.ts";
import {
  commitHash,
  headerHash,
  merkleRoot,
  precommitSignBytes,
  readCommit,
  readHeader,
  readValidators,
  validatorsHash,
  verifyCommit,
} from "./tendermint.ts";

const sample = loadParticipantsSample();
const { expected } = sample;

describe.each(SHAPES)("hashes of the %s shape", (shape) => {
  const { block, validators } = sample[shape];

  it("are those of the sample", () => {
    expect(toHex(participantsKey(BigInt(expected.epoch)))).toBe(expected.iavl_key_hex);
    expect(toHex(headerHash(readHeader(block.header)))).toBe(expected.header_hash_hex);
    expect(toHex(commitHash(readCommit(block.last_commit)))).toBe(expected.last_commit_hash_hex);
    expect(toHex(validatorsHash(readValidators(validators)))).toBe(expected.validators_hash_hex);
  });

  it("do not depend on the order validators come in", () => {
    expect(toHex(validatorsHash(readValidators([...validators].reverse())))).toBe(expected.validators_hash_hex);
  });
});

describe("a commit", () => {
  const commit = readCommit(sample.commit_h_plus_1);
  const validators = readValidators(sample.restored.validators);
  const claim = {
    chainId: expected.chain_id,
    height: BigInt(expected.header_height),
    headerHash: Buffer.from(expected.header_hash_hex, "hex"),
  };

  it("has the sign bytes of the sample", () => {
    expect(toHex(precommitSignBytes(commit, commit.signatures[0]!, expected.chain_id))).toBe(
      expected.first_precommit_sign_bytes_hex,
    );
  });

  it("is read from every wrapping", () => {
    const bare = sample.commit_h_plus_1;
    for (const value of [
      { result: { signed_header: { commit: bare } } },
      { signed_header: { commit: bare } },
      { commit: bare },
    ]) {
      expect(readCommit(value)).toEqual(commit);
    }
  });

  it("carries the power of those who signed", () => {
    expect(verifyCommit(commit, validators, claim)).toEqual({
      signedPower: BigInt(expected.signed_power),
      totalPower: BigInt(expected.total_power),
    });
  });

  it("of exactly two thirds is not enough", () => {
    const shifted = validators.map((validator, index) => ({
      ...validator,
      votingPower: [1000n, 1000n, 1000n][index]!,
    }));
    expect(() => verifyCommit(commit, shifted, claim)).toThrow("2000 of 3000");
  });

  it("is refused with a vote by a stranger, a vote too many, or votes for none", () => {
    const [first, second, third] = commit.signatures as [never, never, never];
    const withVotes = (signatures: readonly never[]) => () =>
      verifyCommit({ ...commit, signatures }, validators, claim);
    expect(withVotes([second, first, third])).toThrow("stranger");
    expect(withVotes([first, first, third])).toThrow("stranger");
    expect(withVotes([first, second, third, first])).toThrow("4 votes for 3");
    const nil = { ...(first as object), flag: "nil" } as never;
    expect(withVotes([nil, second, third])).toThrow("signature is wrong");
    const absent = { ...(first as object), flag: "absent" } as never;
    expect(withVotes([absent, second, third])).toThrow("600 of 2000");
  });
});

describe("merkleRoot", () => {
  it("follows RFC 6962", () => {
    const leaf = (byte: number) => sha256(Uint8Array.of(0, byte));
    const inner = (left: Uint8Array, right: Uint8Array) => sha256(Uint8Array.of(1), left, right);
    expect(toHex(merkleRoot([]))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const bytes = [1, 2, 3, 4, 5].map((byte) => Uint8Array.of(byte));
    const four = inner(inner(leaf(1), leaf(2)), inner(leaf(3), leaf(4)));
    expect(toHex(merkleRoot(bytes))).toBe(toHex(inner(four, leaf(5))));
    expect(toHex(merkleRoot(bytes.slice(0, 3)))).toBe(toHex(inner(inner(leaf(1), leaf(2)), leaf(3))));
  });
});

describe("readTime", () => {
  it.each([
    ["1970-01-01T00:00:01.000000002Z", 1n, 2],
    ["0001-01-01T00:00:00Z", -62135596800n, 0],
    ["2026-05-01T12:00:02.1Z", 1777636802n, 100_000_000],
    ["2026-05-01T12:00:02+00:00", 1777636802n, 0],
  ])("reads %s", (text, seconds, nanos) => {
    expect(readTime(text, "time")).toEqual({ seconds, nanos });
  });

  it.each(["", "2026-05-01", "2026-05-01T12:00:02", "2026-13-01T12:00:02Z", "2026-05-01T12:00:02+01:00", 5])(
    "refuses %s",
    (text) => {
      expect(() => readTime(text, "time")).toThrow("time");
    },
  );
});
