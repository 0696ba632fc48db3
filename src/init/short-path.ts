import type { InitWorld } from "./init-world.ts";

/** A path for people: `~/.config/zeph/config.toml`. Windows has no such short form. */
export function shortPath(path: string, { homeDir, platform }: Pick<InitWorld, "homeDir" | "platform">): string {
  return platform !== "win32" && path.startsWith(`${homeDir}/`) ? `~${path.slice(homeDir.length)}` : path;
}
