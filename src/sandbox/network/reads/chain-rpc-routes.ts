import { participantsProof } from "../chain/participants-proof.ts";
import type { StaticAnswer } from "../faults/static-answers.ts";
import { activeParticipantsKey } from "../proof/active-participants.ts";
import { formatTimestamp } from "../proof/timestamp.ts";
import { blockIdJson, blockJson, cometStyle, commitJson, headerJson } from "./block-json.ts";
import { json, type ReadContext, type ReadRoute } from "./read-route.ts";

/** CometBFT's RPC behind `/chain-rpc` (shared reference 2.1). */
export const chainRpcRoutes: readonly ReadRoute[] = [
  { pattern: /^\/chain-rpc\/status$/, answer: status },
  { pattern: /^\/chain-rpc\/block$/, answer: atHeight(block) },
  { pattern: /^\/chain-rpc\/commit$/, answer: atHeight(commit) },
  { pattern: /^\/chain-rpc\/validators$/, answer: atHeight(validators) },
  { pattern: /^\/chain-rpc\/abci_query$/, answer: query },
];

const DEFAULT_PER_PAGE = 30;
const MAX_PER_PAGE = 100;

function atHeight(answer: (context: ReadContext, height: number) => StaticAnswer): ReadRoute["answer"] {
  return (context) => {
    const latest = context.setting.chain.blocks.latest().height;
    const asked = context.query.get("height");
    const height = asked === null ? latest : Number(asked.replaceAll('"', ""));
    if (!Number.isInteger(height) || height < 1) return rpcError("height must be greater than 0, but got 0");
    if (height <= latest) return answer(context, height);
    return rpcError(`height ${height} must be less than or equal to the current blockchain height ${latest}`);
  };
}

function status({ setting }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const { header, id } = chain.store().at(chain.blocks.latest().height);
  return result({
    node_info: { network: chain.store().chainId, version: "0.38.21", moniker: setting.name },
    sync_info: {
      latest_block_hash: cometStyle.hash(id.hash),
      latest_app_hash: cometStyle.hash(header.appHash),
      latest_block_height: String(header.height),
      latest_block_time: formatTimestamp(header.time),
      catching_up: false,
    },
  });
}

function block({ setting }: ReadContext, height: number): StaticAnswer {
  const sealed = setting.chain.store().at(height);
  return result({ block_id: blockIdJson(sealed.id, cometStyle), block: blockJson(sealed, cometStyle) });
}

function commit({ setting }: ReadContext, height: number): StaticAnswer {
  const sealed = setting.chain.store().at(height);
  const signed = { header: headerJson(sealed.header, cometStyle), commit: commitJson(sealed.commit, cometStyle) };
  return result({ signed_header: signed, canonical: true });
}

function validators({ setting, query }: ReadContext, height: number): StaticAnswer {
  const all = setting.chain.store().validators;
  const page = Number(query.get("page") ?? 1);
  const perPage = Math.min(Number(query.get("per_page") ?? DEFAULT_PER_PAGE), MAX_PER_PAGE);
  const pages = Math.max(Math.ceil(all.length / perPage), 1);
  if (!(page >= 1 && page <= pages)) return rpcError(`page should be within [1, ${pages}] range, given ${page}`);
  const shown = all.slice((page - 1) * perPage, page * perPage);
  return result({
    block_height: String(height),
    validators: shown.map(({ address, publicKey, power }) => ({
      address: cometStyle.hash(address),
      pub_key: { type: "tendermint/PubKeyEd25519", value: publicKey.toString("base64") },
      voting_power: String(power),
      proposer_priority: "0",
    })),
    count: String(shown.length),
    total: String(all.length),
  });
}

/** Knows the one key a client may want: the participants of an epoch, with proof. */
function query({ setting, query }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const asked = (query.get("data") ?? "").replaceAll('"', "").replace(/^0x/, "").toLowerCase();
  const epoch = chain.epochs.all().find(({ epochId }) => activeParticipantsKey(epochId).toString("hex") === asked);
  if (epoch === undefined) return result({ response: { code: 0, key: null, value: null, proofOps: null } });
  const { bytes, operations } = participantsProof(epoch, chain.tampering);
  return result({
    response: {
      code: 0,
      key: Buffer.from(asked, "hex").toString("base64"),
      value: bytes.toString("base64"),
      proofOps: {
        ops: operations.map(({ type, key, data }) => ({
          type,
          key: key.toString("base64"),
          data: data.toString("base64"),
        })),
      },
      height: String(epoch.createdAtBlockHeight),
    },
  });
}

function result(value: unknown): StaticAnswer {
  return json({ jsonrpc: "2.0", id: -1, result: value });
}

function rpcError(data: string): StaticAnswer {
  const error = { code: -32603, message: "Internal error", data };
  return { ...json({ jsonrpc: "2.0", id: -1, error }), status: 500 };
}
