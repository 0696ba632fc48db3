import { type AccountKey, accountKey, addressOfPublicKey } from "../crypto/account-key.ts";

export interface AccountOptions {
  /** 64 hex digits; made anew when absent. */
  readonly privateKeyHex?: string;
  /** Default 1000 GNK; 1 GNK is 1 000 000 000 ngonka. */
  readonly balanceNgonka?: bigint;
  /** Whether the chain knows the public key (it does after the first transaction). Default true. */
  readonly publishedKey?: boolean;
  /** Whether the account exists on chain; false makes only the key. Default true. */
  readonly registered?: boolean;
}

/** What a test needs to act as the user. */
export interface SandboxAccount {
  readonly privateKeyHex: string;
  readonly address: string;
  /** 33 bytes, compressed. */
  readonly publicKey: Buffer;
}

/** An account as the chain sees it. */
export interface ChainAccount {
  readonly address: string;
  publicKey: Buffer | undefined;
  balanceNgonka: bigint;
}

const DEFAULT_BALANCE_NGONKA = 1_000_000_000_000n;

/** The accounts of the sandbox chain. Private keys are kept only to find leaks of them. */
export class AccountBook {
  readonly #prefix: string;
  readonly #accounts = new Map<string, ChainAccount>();
  readonly #keys: AccountKey[] = [];

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  create(options: AccountOptions = {}): SandboxAccount {
    const key = accountKey(options.privateKeyHex);
    const address = addressOfPublicKey(key.publicKey, this.#prefix);
    this.#keys.push(key);
    if (options.registered !== false) {
      this.#accounts.set(address, {
        address,
        publicKey: options.publishedKey === false ? undefined : key.publicKey,
        balanceNgonka: options.balanceNgonka ?? DEFAULT_BALANCE_NGONKA,
      });
    }
    return { privateKeyHex: key.privateKeyHex, address, publicKey: key.publicKey };
  }

  find(address: string): ChainAccount | undefined {
    return this.#accounts.get(address);
  }

  /** What `inferenced publish-pubkey` does: the chain learns the key. */
  publishKey(account: Pick<SandboxAccount, "address" | "publicKey">): void {
    const known = this.#accounts.get(account.address);
    if (known !== undefined) known.publicKey = account.publicKey;
  }

  all(): readonly ChainAccount[] {
    return [...this.#accounts.values()];
  }

  /** Keys whose digits must never come over the wire. */
  get privateKeysHex(): readonly string[] {
    return this.#keys.map((key) => key.privateKeyHex);
  }
}
