import { readAccount } from "../../client/read-account.ts";
import { readPricing } from "../../client/read-pricing.ts";
import { CATALOGUE } from "../../errors/catalogue.ts";
import { type Account, formatGnk } from "../../protocol/accounts.ts";
import type { Check, CheckResult } from "../check.ts";
import { passed, warned } from "../results.ts";
import { type NativeSighting, readingOf, sourceOf } from "./native-sighting.ts";
import { readChainStatus, rootOf } from "./network-reads.ts";
import { nameNodeError } from "./node-error.ts";

/** Bytes of a short prompt: they count like tokens in the escrow. */
const PROMPT_BYTES = 200n;
/** So many answers should be affordable before the balance counts as low. */
const ENOUGH_ANSWERS = 20n;
const LOW_NGONKA = 100_000_000n;

/** Does the network know this account, can it check its signatures, and can it pay? */
export function accountCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.account,
    dependsOn: [names.signer, names.network],
    provider: config.name,
    async run(facts, signal) {
      const { signer } = sighting;
      if (signer === undefined) return warned("the address is not known");
      const { address } = signer;
      const source = sourceOf(sighting);
      const reading = readingOf(facts, signal);
      const state = await readAccount(source, address, reading).catch((error: unknown) => {
        throw nameNodeError(error);
      });
      if (state.kind === "not-found") {
        const { summary } = CATALOGUE.account_not_found;
        const hint = `Send some GNK to ${address}; \`zeph gonka account\` shows when it arrived.`;
        return { status: "fail", code: "account_not_found", detail: `${summary}: ${address}`, hint };
      }
      if (state.kind === "no-public-key") {
        const chainId = (await readChainStatus(source, reading))?.chainId;
        return noPublicKey(source, chainId);
      }
      if (!Buffer.from(state.account.publicKey ?? []).equals(signer.publicKey)) {
        return {
          status: "fail",
          code: "signature_invalid",
          detail: "the network has another public key for this address",
          hint: CATALOGUE.signature_invalid.hint,
        };
      }
      const pricing = await readPricing(source, reading);
      if (pricing !== undefined) sighting.pricing = pricing;
      const price = pricing?.models.find(({ id }) => id === config.model)?.pricePerTokenNgonka;
      const perAnswer = price === undefined ? undefined : price * (BigInt(config.maxTokens) + PROMPT_BYTES);
      return judgeBalance(state.account, perAnswer, address);
    },
  };
}

function noPublicKey(source: string, chainId: string | undefined): CheckResult {
  const node = `${rootOf(source)}/chain-rpc/`;
  const command = `inferenced publish-pubkey --from NAME --gas-prices 10ngonka --node ${node} --chain-id ${chainId ?? "CHAIN-ID"} --yes --keyring-backend BACKEND`;
  const { summary } = CATALOGUE.account_no_public_key;
  return { status: "fail", code: "account_no_public_key", detail: summary, hint: `Run: ${command}` };
}

/** @param perAnswer what a node sets aside for a chat's request before it asks anybody, where the price is known */
function judgeBalance({ balanceNgonka }: Account, perAnswer: bigint | undefined, address: string): CheckResult {
  const balance = formatGnk(balanceNgonka);
  const data = { balance_ngonka: balanceNgonka, ...(perAnswer === undefined ? {} : { escrow_ngonka: perAnswer }) };
  const hint = `Send GNK to ${address}, or ask for fewer tokens with max_tokens.`;
  if (balanceNgonka === 0n || (perAnswer !== undefined && balanceNgonka < perAnswer)) {
    const wanted = perAnswer === undefined ? "" : `; one request sets aside up to ${formatGnk(perAnswer)}`;
    const { summary } = CATALOGUE.insufficient_balance;
    return { status: "fail", code: "insufficient_balance", detail: `${summary}: ${balance}${wanted}`, hint, data };
  }
  const low = perAnswer === undefined ? LOW_NGONKA : perAnswer * ENOUGH_ANSWERS;
  if (balanceNgonka < low) return warned(`low: ${balance}`, { hint, data });
  return passed(`${balance}, public key published`, { data });
}
