import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { readRegularText } from "../internal/regular-file.ts";
import type { Secret } from "../internal/secret.ts";
import type { Inferenced } from "./inferenced.ts";
import { type Keyring, type KeyringEntry, keyringWords } from "./inferenced-output.ts";
import { askOr, type InitSession } from "./init-session.ts";

/** A key taken out of an `inferenced` keyring. */
export interface KeyringKey {
  readonly key: Secret;
  readonly statedAddress: { readonly address: string; readonly from: string };
  readonly keyring: { readonly inferenced: Inferenced; readonly keyring: Keyring; readonly name: string };
}

const ANOTHER_KEYRING = Symbol("another keyring");
const NEW_KEY = Symbol("new key");

/**
 * Lets the user choose or make a key and exports it. `wanted` is the name from a flag. The address that the program gives
 * for the name comes along, to be compared with the one derived from the key.
 */
export async function pickFromKeyring(
  session: InitSession,
  inferenced: Inferenced,
  wanted?: string,
): Promise<KeyringKey> {
  let keyring = await findKeyring(session, "detect");
  for (;;) {
    if (inferenced.asksUser(keyring)) {
      session.tell.info("inferenced may ask for the keyring's passphrase twice: to list the keys, and to export one.");
    }
    const entries = await inferenced.list(keyring);
    const chosen = wanted === undefined ? await chooseEntry(session, entries) : requireEntry(entries, wanted, keyring);
    if (chosen === ANOTHER_KEYRING) {
      keyring = await findKeyring(session, "ask");
      continue;
    }
    const name = chosen === NEW_KEY ? await makeKey(session, inferenced, keyring, entries) : chosen;
    const statedAddress = await askAddress(inferenced, keyring, { name, entries });
    const key = await inferenced.exportKey(keyring, name);
    return { key, statedAddress, keyring: { inferenced, keyring, name } };
  }
}

/** Asked by name, as the export is; where that costs the user a passphrase, what the list said is good enough. */
async function askAddress(
  inferenced: Inferenced,
  keyring: Keyring,
  { name, entries }: { readonly name: string; readonly entries: readonly KeyringEntry[] },
): Promise<KeyringKey["statedAddress"]> {
  const listed = entries.find((entry) => entry.name === name);
  if (listed !== undefined && inferenced.asksUser(keyring)) {
    return { address: listed.address, from: "inferenced keys list" };
  }
  return { address: await inferenced.address(keyring, name), from: `inferenced keys show ${name}` };
}

function requireEntry(entries: readonly KeyringEntry[], wanted: string, keyring: Keyring): string {
  if (entries.some(({ name }) => name === wanted)) return wanted;
  const names = entries.map(({ name }) => name).join(", ");
  throw new ZephError("inferenced_failed", {
    detail: `${keyringWords(keyring)} has no key "${wanted}"; it has: ${names === "" ? "none" : names}`,
    hint: "Name another with --key-name, or another keyring with --keyring-backend and --keyring-home.",
  });
}

async function chooseEntry(session: InitSession, entries: readonly KeyringEntry[]) {
  const ask = askOr(session, "--key-name NAME");
  return ask.select<string | typeof NEW_KEY | typeof ANOTHER_KEYRING>({
    message: entries.length === 0 ? "This keyring has no key yet" : "Which key?",
    choices: [
      ...entries.map(({ name, address }) => ({ value: name, label: `${name}  ${address}` })),
      {
        value: NEW_KEY,
        label: "Make a new one",
        hint: "inferenced shows the recovery words here; zeph does not see them",
      },
      { value: ANOTHER_KEYRING, label: "Look in another keyring" },
    ],
  });
}

async function makeKey(
  session: InitSession,
  inferenced: Inferenced,
  keyring: Keyring,
  entries: readonly KeyringEntry[],
): Promise<string> {
  const name = await askOr(session, "--key-name NAME").text({
    message: "New key name",
    initial: entries.some((entry) => entry.name === "zeph") ? "" : "zeph",
    check: (text) => {
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text)) return "Use letters, digits, - _ and . only.";
      return entries.some((entry) => entry.name === text) ? "There is a key of this name already." : undefined;
    },
  });
  session.tell.warn("inferenced now shows 24 recovery words. Write them down: nobody else has them, zeph neither.");
  await inferenced.add(keyring, name);
  return name;
}

const BACKENDS = [
  { value: "os", label: "os", hint: "the system's own key store" },
  { value: "file", label: "file", hint: "encrypted with a passphrase" },
  { value: "test", label: "test", hint: "not encrypted" },
  { value: "kwallet", label: "kwallet" },
  { value: "pass", label: "pass" },
] as const;

/** Flags first, then what lies in the usual place, then questions. */
async function findKeyring(session: InitSession, mode: "detect" | "ask"): Promise<Keyring> {
  const { world, request, ask, tell } = session;
  const { keyringBackend, keyringHome } = request.native;
  const home = keyringHome ?? join(world.homeDir, ".inference");
  if (mode === "detect") {
    const detected = await detectBackends(home);
    const [only] = detected;
    const byItself = await configuredBackend(home);
    const backend =
      keyringBackend ??
      (detected.length === 1 ? only : undefined) ??
      (ask === undefined ? (byItself ?? "test") : undefined);
    if (backend !== undefined) {
      tell.info(`Keyring: ${backend}${backend === "test" ? " (not encrypted)" : ""}, ${home}`);
      return { backend, ...(keyringHome === undefined ? {} : { home: keyringHome }) };
    }
  }
  const backend = await askOr(session, "--keyring-backend BACKEND").select<string>({
    message: "Which keyring backend?",
    choices: BACKENDS,
    initial: (await configuredBackend(home)) ?? "test",
  });
  if (mode === "detect") return { backend, ...(keyringHome === undefined ? {} : { home: keyringHome }) };
  const chosenHome = await askOr(session, "--keyring-home FOLDER").text({
    message: "Folder of the keyring",
    initial: home,
  });
  return { backend, home: chosenHome };
}

/** Two backends keep their keys in folders of known names; the others cannot be seen from outside. */
async function detectBackends(home: string): Promise<readonly string[]> {
  const found = await Promise.all(
    ["test", "file"].map(async (backend) => ((await isFolder(join(home, `keyring-${backend}`))) ? [backend] : [])),
  );
  return found.flat();
}

/** It has some ten lines. */
const MAX_CLIENT_BYTES = 64 * 1024;

/** The one that inferenced takes by itself, and so where a key made without the flag lies. */
async function configuredBackend(home: string): Promise<string | undefined> {
  const path = join(home, "config", "client.toml");
  const text = await readRegularText(path, { maxBytes: MAX_CLIENT_BYTES }).catch(() => undefined);
  const backend = /^[ \t]*keyring-backend[ \t]*=[ \t]*["']([a-z]+)["']/m.exec(text ?? "")?.[1];
  return BACKENDS.find(({ value }) => value === backend)?.value;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    // Not there, or not ours to look at.
    return false;
  }
}
