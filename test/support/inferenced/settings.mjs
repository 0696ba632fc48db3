/** What a test may ask of the stand-in, by environment variable. */
const { env } = process;

export const settings = {
  /** The line `inferenced version` prints; may be any odd text. */
  version: env.STANDIN_INFERENCED_VERSION ?? "v0.2.13",
  /** Account prefix of the addresses it makes. */
  prefix: env.STANDIN_INFERENCED_PREFIX ?? "gonka",
  /** Commands that never end, separated by commas: `version`, `keys list`, `keys export`, … */
  hang: (env.STANDIN_INFERENCED_HANG ?? "").split(",").filter((one) => one !== ""),
  /** Passphrase of the keyring backends `file` and `os`. Unset: they are open. */
  passphrase: env.STANDIN_INFERENCED_PASSPHRASE,
  /**
   * `direct`: secrets are printed, `--indiscreet` is unknown (gonka's SDK fork). `discreet`: without `--indiscreet`
   * they go to an alternate screen that waits for Enter (newer SDK lines).
   */
  secrets: env.STANDIN_INFERENCED_SECRETS ?? "direct",
  /** Where an exported key is printed: `stdout`, or `stderr` as builds do that never set cobra's output. */
  keyStream: env.STANDIN_INFERENCED_KEY_STREAM ?? "stdout",
  /** `no`: `-y` is unknown to `keys export`, as in plain cosmos-sdk. */
  exportYes: env.STANDIN_INFERENCED_EXPORT_YES ?? "yes",
};
