import { GONKA_ADDRESS, GONKA_PRIVATE_KEY, nativeSecretNames } from "../config/secret-names.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { toAddress } from "../protocol/address.ts";
import { RequestSigner } from "../signer/request-signer.ts";
import { readGivenKey } from "./given-key.ts";
import { findInferenced, type Inferenced } from "./inferenced.ts";
import type { Keyring } from "./inferenced-output.ts";
import { INFERENCED_RELEASES, versionAdvice } from "./inferenced-version.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { pickFromKeyring } from "./keyring-key.ts";
import { judgePrivateKey } from "./private-key.ts";

/** A private key that is what its owner says it is. */
export interface NativeKey {
  readonly signer: RequestSigner;
  /** 64 lower-case hex digits. */
  readonly key: Secret;
  /** Where it lies, when it came from `inferenced`. */
  readonly keyring?: { readonly inferenced: Inferenced; readonly keyring: Keyring; readonly name: string };
}

export type NativeKeyOutcome = NativeKey | { readonly gateway: Secret };

interface Candidate extends Pick<NativeKey, "keyring"> {
  readonly key: Secret;
  /** Address the place it came from gives it; must be the derived one. */
  readonly statedAddress?: { readonly address: string; readonly from: string };
}

/**
 * Gets a private key, derives its address and has it confirmed. Throws `address_mismatch` with both addresses,
 * `invalid_private_key`, `missing_input`, `inferenced_not_found`, `inferenced_failed`.
 */
export async function obtainPrivateKey(
  session: InitSession,
  prefix: string,
  pasted?: Secret,
): Promise<NativeKeyOutcome> {
  let next: Candidate | undefined = pasted === undefined ? await givenKey(session) : { key: pasted };
  for (;;) {
    const candidate: Candidate | { readonly gateway: Secret } = next ?? (await askForKey(session));
    if ("gateway" in candidate) return candidate;
    next = undefined;
    const judged = judgePrivateKey(candidate.key);
    if (judged.kind !== "usable") throw new ZephError("invalid_private_key");
    const signer = RequestSigner.fromHex(judged.key.reveal(), { prefix });
    checkStated(signer, candidate);
    if (!(await isConfirmed(session, signer.address))) {
      signer.dispose();
      continue;
    }
    return { signer, key: judged.key, ...(candidate.keyring === undefined ? {} : { keyring: candidate.keyring }) };
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

type Source = Candidate | "inferenced" | "paste";

async function askForKey(session: InitSession): Promise<NativeKeyOutcome | Candidate> {
  const stored = await storedKeys(session);
  if (session.ask === undefined) {
    const [first] = stored;
    if (first !== undefined) return first.value;
    throw new ZephError("missing_input", { detail: "--key-stdin, --key-env NAME or --key-name NAME" });
  }
  const inferenced = await findInferenced(session.world);
  if (inferenced === undefined) {
    session.tell.info(`inferenced, which makes keys, is not on the PATH: ${INFERENCED_RELEASES}`);
  }
  const fromInferenced = { value: "inferenced", label: "A key of inferenced", hint: inferenced?.path ?? "" } as const;
  const source =
    stored.length === 0 && inferenced === undefined
      ? "paste"
      : await session.ask.select<Source>({
          message: "Where is your private key?",
          choices: [
            ...stored,
            ...(inferenced === undefined ? [] : [fromInferenced]),
            { value: "paste", label: "I paste it", hint: "hidden; 64 hex digits" },
          ],
        });
  if (source === "paste") return pasteKey(session);
  if (source !== "inferenced") return source;
  if (inferenced === undefined) throw new ZephError("inferenced_not_found");
  return tryInferenced(session, inferenced);
}

/** A program that fails leaves all other ways open. */
async function tryInferenced(session: InitSession, inferenced: Inferenced): Promise<NativeKeyOutcome | Candidate> {
  try {
    return await exportFrom(session, inferenced);
  } catch (error) {
    if (!ZephError.is(error) || error.code !== "inferenced_failed") throw error;
    session.tell.fail(error.message);
    return askForKey(session);
  }
}

async function exportFrom(session: InitSession, inferenced: Inferenced, keyName?: string): Promise<Candidate> {
  const advice = versionAdvice(await inferenced.version());
  if (advice !== undefined) session.tell.warn(advice);
  return pickFromKeyring(session, inferenced, keyName);
}

/** Keys in the vault and the environment, with the address that is stored beside them. */
async function storedKeys({ secrets }: InitSession) {
  const keys = await secrets.find(nativeSecretNames(GONKA_PRIVATE_KEY));
  const addresses = await secrets.find(nativeSecretNames(GONKA_ADDRESS));
  return keys
    .filter(({ secret }) => judgePrivateKey(secret).kind === "usable")
    .map(({ secret, name, source }) => {
      const stated = addresses.find((address) => address.source === source);
      const value: Candidate = {
        key: secret,
        ...(stated === undefined
          ? {}
          : { statedAddress: { address: stated.secret.reveal().trim(), from: `${stated.name} in the ${source}` } }),
      };
      return { value, label: source === "vault" ? "The one in the vault" : "The one in the environment", hint: name };
    });
}

async function pasteKey(session: InitSession): Promise<NativeKeyOutcome | Candidate> {
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
