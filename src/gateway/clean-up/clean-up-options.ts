export interface CleanUpOptions {
  /** `native` also keeps to the rules of nodes themselves. */
  readonly access: "broker" | "native";
  /** MiniMax' tool parser stumbles over types such as `["string","null"]`. */
  readonly nullUnions: "keep" | "avoid";
  /** Kinds of tools besides functions that the broker itself serves, before the network sees the request. */
  readonly keepToolType?: (type: string) => boolean;
}
