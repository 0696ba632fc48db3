import { optional, readObject } from "../json/read-value.ts";
import { brokenProof } from "./broken-proof.ts";
import { type Bytes, equalBytes } from "./bytes.ts";
import { commitHash, readCommit } from "./commit.ts";
import { type Header, headerHash, readHeader } from "./header.ts";

export interface CheckedHeader {
  readonly header: Header;
  readonly hash: Bytes;
}

/**
 * Reads the block beside a proof and checks that its header carries the proven state, is of the expected chain, and fits
 * the votes enclosed in the block. Those votes are for the block before; they say nothing about this header.
 */
export function checkBlock(
  value: unknown,
  { appHash, chainId }: { readonly appHash: Bytes; readonly chainId: string | undefined },
): CheckedHeader {
  const block = readObject(value, "block");
  const header = readHeader(block.header);
  if (!equalBytes(header.appHash, appHash)) throw brokenProof("its app_hash is not the root of the proof");
  if (chainId !== undefined && header.chainId !== chainId) throw brokenProof(`it is not of the chain ${chainId}`);
  const lastCommit = optional(block.last_commit, "last_commit", readCommit);
  if (lastCommit !== undefined && !equalBytes(commitHash(lastCommit), header.lastCommitHash)) {
    throw brokenProof("its last_commit_hash is not that of the enclosed votes");
  }
  return { header, hash: headerHash(header) };
}
