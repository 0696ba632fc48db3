import { createHash } from "node:crypto";
import { posix, win32 } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { changingFile } from "../internal/lock-file.ts";
import type { Secret } from "../internal/secret.ts";
import { isTable } from "./layer.ts";
import { type PathContext, zephFolders } from "./paths.ts";
import { readTextFile } from "./read-text-file.ts";

/** Where one key may be sent. */
interface Binding {
  readonly name: string;
  /** Of name and value: a key that was put in its place by another program is not bound by it. */
  readonly fingerprint: string;
  /** As `https://api.example.com` or `http://127.0.0.1:8080`. */
  readonly origins: readonly string[];
}

/**
 * Which keys were stored for which origins. It lies beside the vault and not inside: the vault stays what Zeph and the
 * `age` tool know, and a variable can be bound too. No key stands in it.
 */
interface KeyOrigins {
  /** Where this very key may go; `undefined` when that was never said. */
  of(name: string, secret: Secret): readonly string[] | undefined;
  /** Where keys of this name were last sent; `undefined` when none was bound. */
  named(name: string): readonly string[] | undefined;
}

/** Reads the bindings: `key-origins.json` in the config folder. A damaged file binds nothing. */
export async function readKeyOrigins(context: PathContext): Promise<KeyOrigins> {
  const bindings = await readBindings(context);
  return {
    of: (name, secret) => bindings.find((each) => isFor(each, name, secret))?.origins,
    named: (name) => bindings.findLast((each) => each.name === name)?.origins,
  };
}

/** Says where a key may be sent from now on, in the place of what was said of it before. Throws `file_unwritable`. */
export async function bindKey(
  context: PathContext,
  { name, secret, origins }: { readonly name: string; readonly secret: Secret; readonly origins: readonly string[] },
): Promise<void> {
  await changeBindings(context, (before) => {
    const others = before.filter((each) => !isFor(each, name, secret));
    // Earlier keys of the name may come back with a backup of the vault; a few are enough.
    const earlier = others.filter((each) => each.name === name).slice(0, -4);
    const kept = others.filter((each) => !earlier.includes(each));
    return [...kept, { name, fingerprint: fingerprintOf(name, secret), origins }];
  });
}

/** Forgets all keys of a name, for one that was removed. Throws `file_unwritable`. */
export async function unbindKey(context: PathContext, name: string): Promise<void> {
  if ((await readBindings(context)).every((each) => each.name !== name)) return;
  await changeBindings(context, (before) => before.filter((each) => each.name !== name));
}

/**
 * The origin of an address: scheme, host and port. Throws `wrong_url` for what has none.
 *
 * @example originOf("https://api.example.com/v1") // "https://api.example.com"
 */
export function originOf(url: string): string {
  const text = url.trim();
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  const { protocol, origin } = URL.canParse(absolute) ? new URL(absolute) : { protocol: "", origin: "" };
  if (protocol === "https:" || protocol === "http:") return origin;
  throw new ZephError("wrong_url", {
    detail: "an origin is written like https://host.example or http://127.0.0.1:8080",
  });
}

function isFor(binding: Binding, name: string, secret: Secret): boolean {
  return binding.name === name && binding.fingerprint === fingerprintOf(name, secret);
}

function fingerprintOf(name: string, secret: Secret): string {
  return createHash("sha256").update(`${name}\0${secret.reveal().trim()}`).digest("hex").slice(0, 32);
}

/** Where they lie. */
export function keyOriginsPath(context: PathContext): string {
  const { join } = context.platform === "win32" ? win32 : posix;
  return join(zephFolders(context).config, "key-origins.json");
}

async function readBindings(context: PathContext): Promise<readonly Binding[]> {
  try {
    const value: unknown = JSON.parse((await readTextFile(keyOriginsPath(context))) ?? "{}");
    const keys: readonly unknown[] = isTable(value) && Array.isArray(value.keys) ? value.keys : [];
    return keys.flatMap((entry) => {
      if (!isTable(entry) || !Array.isArray(entry.origins)) return [];
      const { name, fingerprint } = entry;
      const origins = entry.origins.filter((origin): origin is string => typeof origin === "string");
      return typeof name === "string" && typeof fingerprint === "string" ? [{ name, fingerprint, origins }] : [];
    });
  } catch {
    // Said above: what is not known to be bound is judged anew, and never sent on a guess.
    return [];
  }
}

async function changeBindings(
  context: PathContext,
  change: (before: readonly Binding[]) => readonly Binding[],
): Promise<void> {
  await changingFile(keyOriginsPath(context), async (lock) => {
    const keys = change(await readBindings(context));
    await lock.assertHeld();
    await writeFileAtomic(keyOriginsPath(context), `${JSON.stringify({ version: 1, keys }, undefined, 2)}\n`);
  });
}
