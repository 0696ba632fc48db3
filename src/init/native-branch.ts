import { gonkaFetch } from "../client/gonka-fetch.ts";
import { listModels } from "../client/list-models.ts";
import { GONKA_ADDRESS, GONKA_PRIVATE_KEY } from "../config/secret-names.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { endpointLabel } from "../protocol/endpoint.ts";
import type { Model } from "../protocol/models.ts";
import type { BranchOutcome } from "./branch-outcome.ts";
import { chooseModel } from "./choose-model.ts";
import { confirmDefault } from "./confirm-default.ts";
import type { InitSession } from "./init-session.ts";
import { checkAccount } from "./native-account.ts";
import { type NativeKey, obtainPrivateKey } from "./native-key.ts";
import { chooseNetwork, type NativeNetwork } from "./native-network.ts";
import { type CompleteNode, chooseNodes } from "./native-nodes.ts";
import { passesTest } from "./passes-test.ts";
import { storeSecrets } from "./store-secrets.ts";
import { sendTestMessage } from "./test-message.ts";

const DEFAULT_NAME = "gonka";

/** Signed requests: network, key, address, nodes, account, model, one real message. */
export async function nativeBranch(
  session: InitSession,
  { pasted }: { readonly pasted?: Secret } = {},
): Promise<BranchOutcome> {
  refuseForeignName(session);
  const network = await chooseNetwork(session);
  if (network === "gateway") return { kind: "gateway" };
  const native = await obtainPrivateKey(session, network.prefix, pasted);
  if ("gateway" in native) return { kind: "gateway", pasted: native.gateway };
  const { address } = native.signer;
  const secrets = new Map([
    [privateKeyName(session), native.key],
    [GONKA_ADDRESS, new Secret(address)],
  ]);
  await storeSecrets(session, { entries: secrets, replacement: "typed" });

  const nodes = network.retired ? [] : await chooseNodes(session, network);
  await checkAccount(session, native, network.anyNode);
  const chat = network.retired ? { model: undefined } : await firstReply(session, native, nodes);

  const name = recordName(session);
  const answers = {
    path: "native",
    name,
    ...{ model: chat.model, chainPrefix: network.prefix, sourceUrl: sourceUrl(network) },
    // A record that cannot chat must not become the one that chats.
    makeDefault: network.retired ? (session.request.makeDefault ?? false) : await confirmDefault(session, name),
    nodes: nodes.map((node) => ({ url: node.baseURL, address: node.address, name: endpointLabel(node) })),
  } as const;
  return {
    kind: "ready",
    answers,
    secrets,
    address,
    ...("reply" in chat && chat.reply !== undefined ? { reply: chat.reply } : {}),
  };
}

async function firstReply(session: InitSession, { signer }: NativeKey, nodes: readonly CompleteNode[]) {
  const { world, tell, facts } = session;
  const { fetch, clock, random, signal } = world;
  const existing = facts.config?.providers.find((provider) => provider.name === recordName(session));
  const recorded = existing?.type === "gonka" ? existing : undefined;
  const gonka = gonkaFetch({ kind: "native", signer, endpoints: nodes, fetch, random });
  const models = await tell.work("Reading the list of models", () =>
    readModels(session, () => listModels(gonka, signal)),
  );
  const model = await chooseModel(session, { models, previous: recorded?.model });
  const send = () => sendTestMessage(gonka, { model, clock, signal });
  const reply = await passesTest(session, { model, send, keyIsReplaceable: false });
  return { model, reply: reply === "another-key" ? undefined : reply };
}

async function readModels(
  { tell }: InitSession,
  read: () => Promise<readonly Model[]>,
): Promise<readonly Model[] | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    tell.warn(`The list of models could not be read. ${error.message}`);
    return undefined;
  }
}

/** A record of another kind would be lost, not changed. */
function refuseForeignName({ facts, request }: InitSession): void {
  const name = request.name ?? DEFAULT_NAME;
  const existing = facts.config?.providers.find((provider) => provider.name === name);
  if (existing === undefined || existing.type === "gonka") return;
  throw new ZephError("usage", {
    detail: `the name "${name}" is used for another kind of provider in your config`,
    hint: "Choose another with --name.",
  });
}

function recordName({ request }: InitSession): string {
  return request.name ?? DEFAULT_NAME;
}

/** A record may say that its key has another name. */
function privateKeyName(session: InitSession): string {
  const existing = session.facts.config?.providers.find((provider) => provider.name === recordName(session));
  return existing?.type === "gonka" ? existing.privateKeyNames.canonical : GONKA_PRIVATE_KEY;
}

/** Without `/v1`: the form that other Gonka programs read from GONKA_SOURCE_URL. */
function sourceUrl({ source }: NativeNetwork): string | undefined {
  return source?.slice(0, -"/v1".length);
}
