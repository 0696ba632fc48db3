import { brokenProof } from "./broken-proof.ts";
import { equalBytes } from "./bytes.ts";
import type { CheckedHeader } from "./check-block.ts";
import { readCommit } from "./commit.ts";
import { readValidators, type Validator, validatorsHash } from "./validators.ts";
import { type SignedPower, verifyCommit } from "./verify-commit.ts";

/** Either the power behind the header, or the sentence that says what was missing to check it. */
export type Signatures =
  | { readonly signed: SignedPower; readonly missing?: undefined }
  | { readonly signed?: undefined; readonly missing: string };

/**
 * Checks the commit of the header against the whole set of validators that the header names.
 *
 * @param sources `page` is the list inside the participants response: one page of the set of the block before, used when
 * it happens to be the right set
 */
export function checkSignatures(
  { header, hash }: CheckedHeader,
  sources: { readonly commit: unknown; readonly validators: unknown; readonly page: unknown },
): Signatures {
  if (sources.commit === undefined || sources.commit === null) {
    return {
      missing: `No commit of block ${header.height} was given, so it is not known whether the validators signed it.`,
    };
  }
  const validators = validatorSet(sources);
  if (validators === undefined || !equalBytes(validatorsHash(validators), header.validatorsHash)) {
    // A set that was asked for and does not fit is a lie; a page that does not fit is only a page.
    if (sources.validators !== undefined) throw brokenProof("the validators are not the set that the header names");
    return {
      missing: `The validators of block ${header.height} were not all given, so their signatures were not checked.`,
    };
  }
  const commit = readCommit(sources.commit);
  return {
    signed: verifyCommit(commit, validators, { chainId: header.chainId, height: header.height, headerHash: hash }),
  };
}

function validatorSet({ validators, page }: { validators: unknown; page: unknown }): readonly Validator[] | undefined {
  const source = validators ?? page;
  return source === undefined || source === null ? undefined : readValidators(source);
}
