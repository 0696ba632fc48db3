import type { Clock } from "../../../internal/clock.ts";
import { newValidators, validatorsHash } from "../proof/validator-set.ts";
import { AccountBook } from "./accounts.ts";
import { type BlockClock, blockClock } from "./block-clock.ts";
import { BlockStore } from "./block-store.ts";
import { EpochBook } from "./epoch-book.ts";
import { Ledger } from "./ledger.ts";
import type { Tampering } from "./tamper.ts";

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
  readonly epochs: EpochBook;
  /** Hex of the hash of the honest validator set: what a client pins. */
  readonly validatorsHash: string;
  /** How the network lies about its participants; undefined: it does not. */
  tampering: Tampering | undefined;
  /** The blocks as the network shows them now. */
  store(): BlockStore;
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
  readonly validatorPowers: readonly number[];
}): ChainStandIn {
  const { chainId, prefix } = options;
  const accounts = new AccountBook(prefix);
  const blocks = blockClock(options.clock, START_HEIGHT);
  const epochs = new EpochBook(blocks);
  const validators = newValidators(options.validatorPowers);
  const stores = new Map<Tampering | undefined, BlockStore>();
  return {
    chainId,
    prefix,
    accounts,
    blocks,
    ledger: new Ledger(accounts),
    params: { ...DEFAULT_PARAMS },
    epochs,
    validatorsHash: validatorsHash(validators).toString("hex"),
    tampering: undefined,
    store() {
      const known = stores.get(this.tampering);
      if (known !== undefined) return known;
      const made = new BlockStore({ chainId, blocks, epochs, validators, tampering: this.tampering });
      stores.set(this.tampering, made);
      return made;
    },
  };
}
