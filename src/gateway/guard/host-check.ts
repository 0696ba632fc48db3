import { ZephError } from "../../errors/zeph-error.ts";

/**
 * Throws `host_refused` for a `Host` that is not ours. A page of another site can make its own name point to this
 * computer (DNS rebinding) and then read answers as its own; it cannot make the browser send another name than its own.
 */
export type HostCheck = (host: string) => void;

const LOOPBACK = /^(?:localhost|[a-z0-9-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** @param allowed further host names, without port; `*` lets every name pass */
export function hostCheck(allowed: readonly string[] = []): HostCheck {
  if (allowed.includes("*")) return () => {};
  const names = new Set(allowed.map((name) => name.toLowerCase()));
  return (host) => {
    const name = hostName(host);
    if (LOOPBACK.test(name) || names.has(name)) return;
    throw new ZephError("host_refused");
  };
}

/** A `Host` value without its port, in lower case. */
export function hostName(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, "");
}
