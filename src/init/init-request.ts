/** What the command line already answers. Everything that is absent is asked, found out, or has a default. */
export interface InitRequest {
  readonly path?: "gateway" | "native";
  /** Id of a broker, `gonkagate` and so on, or `custom`. */
  readonly broker?: string;
  /** Address of the endpoint, in the place of the broker's own. */
  readonly baseURL?: string;
  /** Id from the live list, or `auto`: the last good one, else the first of the list. */
  readonly model?: string;
  /** Name of the provider record; default the broker's id, or `gonka`. */
  readonly name?: string;
  /** Where the key comes from when it is not asked for. */
  readonly key?: { readonly from: "stdin" } | { readonly from: "env"; readonly variable: string };
  /** Send one real message before anything is written. */
  readonly test: boolean;
  /** Whether the record becomes the default one; absent: when it is the first. */
  readonly makeDefault?: boolean;
  /** Config file to write, in the place of the user's own. */
  readonly output?: string;
  /** Stands for the typed confirmation before a private key or an unreadable config is replaced. */
  readonly force: boolean;
  /** Ask for the settings that have a good default, too. */
  readonly full: boolean;
  readonly native: NativeRequest;
}

export interface NativeRequest {
  /** A node or mirror of the network, from which the others are discovered. */
  readonly sourceUrl?: string;
  /** `URL` or `URL,ADDRESS`, in the place of discovery. */
  readonly nodes: readonly string[];
  /** Name of a key in the `inferenced` keyring. */
  readonly keyName?: string;
  readonly keyringBackend?: string;
  readonly keyringHome?: string;
  /** Address prefix; default what the network's nodes have. */
  readonly prefix?: string;
  /** The address the key must have. */
  readonly expectAddress?: string;
}
