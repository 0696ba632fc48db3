/** Where a value of the configuration came from. */
export type Origin =
  | { readonly kind: "flag"; readonly name: string }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly path: string; readonly line?: number }
  | { readonly kind: "default" };

export const DEFAULT_ORIGIN: Origin = { kind: "default" };

/** @example describeOrigin({ kind: "file", path: "/etc/x.toml", line: 3 }) // "file /etc/x.toml:3" */
export function describeOrigin(origin: Origin): string {
  switch (origin.kind) {
    case "flag":
      return `flag ${origin.name}`;
    case "env":
      return `env ${origin.name}`;
    case "file":
      return `file ${origin.path}${origin.line === undefined ? "" : `:${origin.line}`}`;
    case "default":
      return "default";
  }
}
