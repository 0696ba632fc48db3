import { ZephError } from "../errors/zeph-error.ts";
import type { GatewaySettings } from "../gateway/gateway-settings.ts";
import { DEFAULT_PORT } from "../gateway/index.ts";
import { isLoopback } from "../protocol/endpoint.ts";

/** Flags of `zeph serve`, as commander hands them over. Each wins over its field in `[local_gateway]`. */
export interface ServeFlags {
  /** `--port NUMBER`; 0 takes any free one. Default 8424. */
  readonly port?: string;
  /** `--host ADDRESS` to bind. Default 127.0.0.1. */
  readonly host?: string;
  readonly provider?: string;
  /** `--model ID`: used when a request names none. */
  readonly model?: string;
  /** `--alias NAME=ID`, repeatable. */
  readonly alias?: readonly string[];
  /** `--no-auth` makes it false: no key is asked for. Loopback only. */
  readonly auth?: boolean;
  /** `--cors ORIGIN`, repeatable. */
  readonly cors?: readonly string[];
  /** `--allow-host NAME`, repeatable: further names callers may use for this computer. */
  readonly allowHost?: readonly string[];
  readonly alwaysStream?: boolean;
  /** `--no-clean-up` makes it false: requests are sent as they come. */
  readonly cleanUp?: boolean;
  /** Print the key although it is not new. */
  readonly showKey?: boolean;
  /** No line per request on standard error. */
  readonly quiet?: boolean;
}

/** What flags and settings come to. */
export interface ServeChoices {
  readonly port: number;
  readonly host: string;
  readonly aliases: Readonly<Record<string, string>>;
  readonly keyRequired: boolean;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly upstreamMode: "as-asked" | "always-stream";
  readonly cleanUp: "network" | "none";
}

/** Throws `usage` for what cannot be meant, such as a door without a key on an address that others reach. */
export function serveChoices(flags: ServeFlags, settings: GatewaySettings): ServeChoices {
  const host = (flags.host ?? settings.host ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  const keyRequired = flags.auth !== false;
  const isPrivate = isLoopbackHost(host);
  if (!keyRequired && !isPrivate) {
    throw new ZephError("usage", {
      detail: `--no-auth together with --host ${host} would let everybody spend your money`,
      hint: "Leave --no-auth out, or serve on 127.0.0.1.",
    });
  }
  const streams = flags.alwaysStream ?? settings.alwaysStream ?? false;
  const cleans = flags.cleanUp === false ? false : (settings.cleanUp ?? true);
  return {
    port: flags.port === undefined ? (settings.port ?? DEFAULT_PORT) : toPort(flags.port),
    host,
    aliases: { ...settings.aliases, ...Object.fromEntries((flags.alias ?? []).map(toAlias)) },
    keyRequired,
    allowedOrigins: [...(settings.cors ?? []), ...(flags.cors ?? [])].map(toOrigin),
    // Whoever binds an address by its number or name means to be called by it.
    allowedHosts: [...(settings.allowHosts ?? []), ...(flags.allowHost ?? []), ...(isPrivate ? [] : [host])],
    upstreamMode: streams ? "always-stream" : "as-asked",
    cleanUp: cleans ? "network" : "none",
  };
}

export function isLoopbackHost(host: string): boolean {
  const url = `http://${host.includes(":") ? `[${host}]` : host}`;
  return URL.canParse(url) && isLoopback(url);
}

function toPort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new ZephError("usage", { detail: "--port takes a whole number from 0 to 65535" });
}

function toAlias(text: string): readonly [string, string] {
  const [, name, id] = /^([^=\s]+)=(\S+)$/.exec(text) ?? [];
  if (name !== undefined && id !== undefined) return [name, id];
  throw new ZephError("usage", {
    detail: "--alias takes NAME=ID",
    hint: "Such as --alias gpt-4o=a-model-of-zeph-models.",
  });
}

function toOrigin(text: string): string {
  // Extensions and desktop applications have origins of their own schemes, which URL gives no origin for.
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/\s]+\/?$/i.test(text) || text === "null") return text.replace(/\/$/, "");
  throw new ZephError("usage", {
    detail: "--cors takes an origin",
    hint: "Such as --cors http://localhost:3000, without a path.",
  });
}
