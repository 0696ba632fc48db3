import type { Clock } from "../../../internal/clock.ts";
import { AccountBook } from "./accounts.ts";
import { type BlockClock, blockClock } from "./block-clock.ts";
import { Ledger } from "./ledger.ts";

/** Where the chain-params endpoint keeps the transfer-agent list, or that it has none. */
export type AllowListForm = "list" | "absent" | "disabled";

/** Parameters an operator (or a test) may change at any time. */
export interface ChainParams {
  /** Oldest timestamp accepted, seconds before the latest block. 0 makes the node use 10. Mainnet: 60. */
  timestampExpirationSeconds: number;
  /** Newest timestamp accepted, seconds after the latest block. 0 makes the node use 10. Mainnet: 30. */
  timestampAdvanceSeconds: number;
  /** Transfer agents that may serve; empty: all. */
  allowedTransferAgents: readonly string[];
  /** How `/chain-api/…/params` shows the list: as a list, not at all, or the endpoint answers 404. */
  allowListForm: AllowListForm;
  /** Only these developers may ask until the height; undefined: everybody may. */
  developerAccess: { readonly untilBlockHeight: number; readonly allowed: readonly string[] } | undefined;
  pricePerTokenNgonka: bigint;
}

/** The one chain all nodes of the sandbox share. */
export interface ChainStandIn {
  readonly chainId: string;
  readonly prefix: string;
  readonly accounts: AccountBook;
  readonly blocks: BlockClock;
  readonly ledger: Ledger;
  readonly params: ChainParams;
}

const START_HEIGHT = 123_400;

/** Mainnet's parameters: genesis/genesis.json:5044-5045 of gonka-ai/gonka at 8a35022b. */
const DEFAULT_PARAMS: ChainParams = {
  timestampExpirationSeconds: 60,
  timestampAdvanceSeconds: 30,
  allowedTransferAgents: [],
  allowListForm: "list",
  developerAccess: undefined,
  pricePerTokenNgonka: 1_000n,
};

export function chainStandIn(options: {
  readonly chainId: string;
  readonly prefix: string;
  readonly clock: Pick<Clock, "nowMs">;
}): ChainStandIn {
  const accounts = new AccountBook(options.prefix);
  return {
    chainId: options.chainId,
    prefix: options.prefix,
    accounts,
    blocks: blockClock(options.clock, START_HEIGHT),
    ledger: new Ledger(accounts),
    params: { ...DEFAULT_PARAMS },
  };
}
