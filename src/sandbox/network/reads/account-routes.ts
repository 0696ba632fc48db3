import { decodeBech32 } from "../crypto/bech32.ts";
import { errorAnswer, type StaticAnswer } from "../faults/static-answers.ts";
import { isAtLeast } from "../server/node-setting.ts";
import { json, notFound, type ReadContext, type ReadRoute } from "./read-route.ts";

/** Accounts as the nodes show them (shared reference 2.1). */
export const accountRoutes: readonly ReadRoute[] = [
  {
    pattern: /^\/v2\/accounts\/([^/]+)$/,
    answer: (context) => (isAtLeast(context.setting.state.version, 12) ? account(context) : notFound("Not Found")),
  },
  { pattern: /^\/v1\/participants\/([^/]+)$/, answer: account },
  { pattern: /^\/v1\/participants$/, answer: allParticipants },
];

function account({ setting, parameters }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const [address = ""] = parameters;
  if (decodeBech32(address)?.prefix !== chain.prefix) return errorAnswer(400, "invalid address");
  const found = chain.accounts.find(address);
  if (found === undefined) return notFound("account not found");
  if (found.publicKey === undefined) return notFound("account has no public key");
  const balance = Number(found.balanceNgonka);
  return json({ pubkey: found.publicKey.toString("base64"), balance, denom: "ngonka" });
}

function allParticipants({ setting }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const participants = chain.epochs.current()?.participants ?? [];
  return json({
    participants: participants.map(({ address, inferenceUrl, weight }) => ({
      id: address,
      url: inferenceUrl,
      coins_owed: 0,
      refunds_owed: 0,
      balance: 0,
      voting_power: weight,
      reputation: 1,
    })),
    block_height: chain.blocks.latest().height,
  });
}
