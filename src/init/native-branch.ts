import { gonkaFetch } from "../client/gonka-fetch.ts";
import { listModels } from "../client/list-models.ts";
import { readPricing } from "../client/read-pricing.ts";
import { GONKA_ADDRESS, GONKA_PRIVATE_KEY } from "../config/secret-names.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { chainClient, type DevshardParams } from "../network/chain.ts";
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
  const escrow = network.retired ? await chooseEscrow(session, network.anyNode, address) : undefined;
  const chat = network.retired ? { model: escrow?.model } : await firstReply(session, native, nodes);

  const name = recordName(session);
  const answers = {
    path: "native",
    name,
    ...{ model: chat.model, chainPrefix: network.prefix, sourceUrl: sourceUrl(network) },
    // A record that cannot chat must not become the one that chats.
    makeDefault:
      network.retired && escrow === undefined
        ? (session.request.makeDefault ?? false)
        : await confirmDefault(session, name),
    access: escrow === undefined ? undefined : "devshard",
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

/**
 * On today's network chats are paid from escrows, which only listed accounts may open. Whether this one is listed is looked
 * up without a word, and only then is it offered.
 */
async function chooseEscrow(
  session: InitSession,
  node: string,
  address: string,
): Promise<{ readonly model: string } | undefined> {
  const { world, tell, ask, facts } = session;
  const { fetch, clock, signal } = world;
  const chain = chainClient(node, { fetch, clock });
  let params: DevshardParams;
  try {
    params = await chain.params(signal);
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    // A node without the chain's interface: then nothing can be offered, and nothing is missing that was promised.
    return undefined;
  }
  if (!params.allowedCreators.includes(address)) {
    tell.info(
      "Today's network takes chats only from escrows, and only accounts that it has listed by vote may open them; this one is not listed. A gateway's API key works for everybody: `zeph init` again, and choose a gateway.",
    );
    return undefined;
  }
  const isWanted =
    ask !== undefined &&
    (await ask.confirm({
      message: "Your account may open escrows. Pay for chats from an escrow of your own?",
      initial: true,
    }));
  if (!isWanted) return undefined;
  const models = await readPricing(node, { fetch, clock, signal }).catch(() => undefined);
  const listed = models?.models.map(({ id }) => ({ id, kind: "chat" }) as const);
  const existing = facts.config?.providers.find((provider) => provider.name === recordName(session));
  const previous = existing?.type === "gonka" ? existing.model : undefined;
  const model = await chooseModel(session, { models: listed, previous });
  tell.info("Nothing was paid. To begin: `zeph devshard check`, then `zeph devshard open`.");
  return { model };
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
