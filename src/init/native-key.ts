import { stat } from "node:fs/promises";
import { join } from "node:path";
import { readRegularText } from "../base/files.ts";
import { Secret } from "../base/secret.ts";
import { recognizeKey } from "../brokers/registry.ts";
import { GONKA_ADDRESS, GONKA_PRIVATE_KEY, nativeSecretNames } from "../config/secrets.ts";
import { ZephError } from "../errors.ts";
import { parsePrivateKey, RequestSigner } from "../signer/signer.ts";
import { toAddress } from "../wire/secp256k1.ts";
import { readGivenKey } from "./access.ts";
import {
  findInferenced,
  INFERENCED_RELEASES,
  type Inferenced,
  type Keyring,
  type KeyringEntry,
  keyringWords,
  versionAdvice,
} from "./inferenced.ts";
import { askOr, type Choice, type InitSession } from "./session.ts";

/** Where a key lies that came from `inferenced`. */
interface KeyringPlace {
  readonly inferenced: Inferenced;
  readonly keyring: Keyring;
  readonly name: string;
}

/** A private key that is what its owner says it is. */
export interface NativeKey {
  readonly signer: RequestSigner;
  /** 64 lower-case hex digits. */
  readonly key: Secret;
  readonly keyring: KeyringPlace | undefined;
}

interface Candidate {
  readonly key: Secret;
  readonly keyring?: KeyringPlace | undefined;
  /** Address the place it came from gives it; must be the derived one. */
  readonly statedAddress?: { readonly address: string; readonly from: string } | undefined;
}

/** A broker's key, with which its owner would rather take a gateway. */
interface Turned {
  readonly gateway: Secret;
}

/**
 * Gets a private key, derives its address and has it confirmed. Throws `address_mismatch` with both addresses,
 * `invalid_private_key`, `missing_input`, `inferenced_not_found`, `inferenced_failed`.
 */
export async function obtainPrivateKey(
  session: InitSession,
  prefix: string,
  pasted?: Secret,
): Promise<NativeKey | Turned> {
  let next: Candidate | undefined = pasted === undefined ? await givenKey(session) : { key: pasted };
  for (;;) {
    const candidate: Candidate | Turned = next ?? (await askForKey(session));
    if ("gateway" in candidate) return candidate;
    next = undefined;
    const judged = judgePrivateKey(candidate.key);
    if (judged.kind !== "usable") throw new ZephError("invalid_private_key");
    const signer = RequestSigner.fromHex(judged.key.reveal(), { prefix });
    checkStated(signer, candidate);
    if (await isConfirmed(session, signer.address)) return { signer, key: judged.key, keyring: candidate.keyring };
    signer.dispose();
  }
}

/** The key that flags say where to find. */
async function givenKey(session: InitSession): Promise<Candidate | undefined> {
  const { request, world } = session;
  const { keyName } = request.native;
  if (keyName !== undefined) {
    const inferenced = await findInferenced(world);
    if (inferenced === undefined) throw new ZephError("inferenced_not_found");
    return exportFrom(session, inferenced, keyName);
  }
  if (request.key === undefined) return undefined;
  const judged = judgePrivateKey(await readGivenKey(world, request.key));
  if (judged.kind === "usable") return { key: judged.key };
  const detail =
    judged.kind === "broker-key" ? "it looks like a broker's API key; give it with --path gateway" : judged.reason;
  throw new ZephError("invalid_private_key", { detail });
}

async function askForKey(session: InitSession): Promise<Candidate | Turned> {
  const { ask, tell, world } = session;
  const stored = await storedKeys(session);
  if (ask === undefined) {
    const [first] = stored;
    if (first !== undefined) return first.value;
    throw new ZephError("missing_input", { detail: "--key-stdin, --key-env NAME or --key-name NAME" });
  }
  const inferenced = await findInferenced(world);
  if (inferenced === undefined) tell.info(`inferenced, which makes keys, is not on the PATH: ${INFERENCED_RELEASES}`);
  const choices: readonly Choice<Candidate | Inferenced | "paste">[] = [
    ...stored,
    ...(inferenced === undefined
      ? []
      : [{ value: inferenced, label: "A key of inferenced", hint: inferenced.path } as const]),
    { value: "paste", label: "I paste it", hint: "hidden; 64 hex digits" },
  ];
  const source = choices.length === 1 ? "paste" : await ask.select({ message: "Where is your private key?", choices });
  if (source === "paste") return pasteKey(session);
  if ("key" in source) return source;
  try {
    return await exportFrom(session, source);
  } catch (error) {
    // A program that fails leaves all other ways open.
    if (!ZephError.is(error) || error.code !== "inferenced_failed") throw error;
    tell.fail(error.message);
    return askForKey(session);
  }
}

async function exportFrom(session: InitSession, inferenced: Inferenced, keyName?: string): Promise<Candidate> {
  const advice = versionAdvice(await inferenced.version());
  if (advice !== undefined) session.tell.warn(advice);
  return pickFromKeyring(session, inferenced, keyName);
}

/** Keys in the vault and the environment, with the address that is stored beside them. */
async function storedKeys({ secrets }: InitSession): Promise<readonly Choice<Candidate>[]> {
  const keys = await secrets.find(nativeSecretNames(GONKA_PRIVATE_KEY));
  const addresses = await secrets.find(nativeSecretNames(GONKA_ADDRESS));
  return keys
    .filter(({ secret }) => judgePrivateKey(secret).kind === "usable")
    .map(({ secret: key, name, source }) => {
      const stated = addresses.find((address) => address.source === source);
      const statedAddress = stated && {
        address: stated.secret.reveal().trim(),
        from: `${stated.name} in the ${source}`,
      };
      return { value: { key, statedAddress }, label: `The one in the ${source}`, hint: name };
    });
}

async function pasteKey(session: InitSession): Promise<Candidate | Turned> {
  const ask = askOr(session, "--key-stdin or --key-env NAME");
  for (;;) {
    const text = await ask.hidden({
      message: "Private key (64 hex digits; it stays on this computer)",
      check: (value) => {
        const judged = judgePrivateKey(value);
        return judged.kind === "refused" ? judged.reason : undefined;
      },
    });
    const judged = judgePrivateKey(text);
    if (judged.kind === "usable") return { key: judged.key };
    if (judged.kind === "refused") continue;
    session.tell.warn("This looks like a broker's API key. Signed requests need a private key.");
    if (await ask.confirm({ message: "Set up the gateway with it instead?", initial: true }))
      return { gateway: judged.key };
  }
}

/** The same key has one address per prefix; that of `inferenced` may be of another network. */
function checkStated(signer: RequestSigner, { statedAddress: stated }: Candidate): void {
  if (stated === undefined) return;
  const prefix = /^([a-z][a-z02-9]*)1/.exec(stated.address)?.[1] ?? signer.prefix;
  const derived = toAddress(signer.publicKey, { prefix });
  if (derived === stated.address) return;
  throw new ZephError("address_mismatch", {
    detail: `the key gives ${derived}, but ${stated.from} says ${stated.address}`,
  });
}

async function isConfirmed({ ask, tell, request }: InitSession, address: string): Promise<boolean> {
  const { expectAddress } = request.native;
  if (expectAddress !== undefined && expectAddress !== address) {
    throw new ZephError("address_mismatch", { detail: `the key gives ${address}, expected was ${expectAddress}` });
  }
  if (ask === undefined || expectAddress !== undefined) {
    tell.done(`Address: ${address}`);
    return true;
  }
  return ask.confirm({ message: `Is ${address} your account?`, initial: true });
}

const ANOTHER_KEYRING = Symbol("another keyring");
const NEW_KEY = Symbol("new key");

/**
 * Lets the user choose or make a key and exports it. `wanted` is the name from a flag. The address that the program gives
 * for the name comes along, to be compared with the one derived from the key.
 */
export async function pickFromKeyring(session: InitSession, inferenced: Inferenced, wanted?: string) {
  let keyring = await findKeyring(session, "detect");
  for (;;) {
    const asks = inferenced.asksUser(keyring);
    if (asks)
      session.tell.info("inferenced may ask for the keyring's passphrase twice: to list the keys, and to export one.");
    const entries = await inferenced.list(keyring);
    const chosen = wanted === undefined ? await chooseEntry(session, entries) : requireEntry(entries, wanted, keyring);
    if (chosen === ANOTHER_KEYRING) {
      keyring = await findKeyring(session, "ask");
      continue;
    }
    const name = chosen === NEW_KEY ? await makeKey(session, inferenced, keyring, entries) : chosen;
    const listed = entries.find((entry) => entry.name === name);
    // Asked by name, as the export is; where that costs the user a passphrase, what the list said is good enough.
    const statedAddress =
      listed !== undefined && asks
        ? { address: listed.address, from: "inferenced keys list" }
        : { address: await inferenced.address(keyring, name), from: `inferenced keys show ${name}` };
    const key = await inferenced.exportKey(keyring, name);
    return { key, statedAddress, keyring: { inferenced, keyring, name } };
  }
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
  const configured = await configuredBackend(home);
  if (mode === "detect") {
    // Two backends keep their keys in folders of known names; the others cannot be seen from outside.
    const [hasTest, hasFile] = [await isFolder(join(home, "keyring-test")), await isFolder(join(home, "keyring-file"))];
    const detected = hasTest === hasFile ? undefined : hasTest ? "test" : "file";
    const backend = keyringBackend ?? detected ?? (ask === undefined ? (configured ?? "test") : undefined);
    if (backend !== undefined) {
      tell.info(`Keyring: ${backend}${backend === "test" ? " (not encrypted)" : ""}, ${home}`);
      return { backend, home: keyringHome };
    }
  }
  const backend = await askOr(session, "--keyring-backend BACKEND").select<string>({
    message: "Which keyring backend?",
    choices: BACKENDS,
    initial: configured ?? "test",
  });
  if (mode === "detect") return { backend, home: keyringHome };
  const message = "Folder of the keyring";
  return { backend, home: await askOr(session, "--keyring-home FOLDER").text({ message, initial: home }) };
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

/** What was pasted where a private key belongs. */
type JudgedPrivateKey =
  /** The one form that Zeph reads: 64 lower-case hex digits. */
  | { readonly kind: "usable"; readonly key: Secret }
  | { readonly kind: "broker-key"; readonly key: Secret }
  /** In words that do not repeat it. */
  | { readonly kind: "refused"; readonly reason: string };

/** Reads a private key in any spelling: quotes or an assignment around it, `0x`, upper case, base64 of 32 bytes. */
export function judgePrivateKey(text: Secret): JudgedPrivateKey {
  const { kind, cleaned } = recognizeKey(text.reveal());
  if (kind === "broker-key" || kind === "management-key") return { kind: "broker-key", key: cleaned };
  try {
    return { kind: "usable", key: toStoredForm(cleaned) };
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    const advice = kind === "mnemonic" ? ` ${error.hint}` : "";
    return { kind: "refused", reason: `This is not a private key: ${error.detail ?? error.summary}.${advice}` };
  }
}

function toStoredForm(text: Secret): Secret {
  const bytes = parsePrivateKey(text.reveal());
  try {
    return new Secret(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex"));
  } finally {
    bytes.fill(0);
  }
}
