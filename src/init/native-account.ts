import { readAccount } from "../client/read-account.ts";
import { readNode } from "../client/read-node.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { formatGnk } from "../protocol/accounts.ts";
import { parseChainStatus } from "../protocol/chain-status.ts";
import { publishKeyArgs } from "./inferenced.ts";
import type { InitSession } from "./init-session.ts";
import type { NativeKey } from "./native-key.ts";

/** Looks at the account, free of charge, and says what it lacks with the command that mends it. */
export async function checkAccount(session: InitSession, native: NativeKey, node: string): Promise<void> {
  const { tell, ask, world } = session;
  const { address } = native.signer;
  for (;;) {
    const state = await tell
      .work("Looking at the account", () => readAccount(node, address, world))
      .catch((error: unknown) => {
        if (!ZephError.is(error)) throw error;
        return { kind: "unknown", error } as const;
      });
    if (state.kind === "ready") {
      const { balanceNgonka } = state.account;
      if (balanceNgonka > 0n) tell.done(`The account has published its key and has ${formatGnk(balanceNgonka)}.`);
      else tell.warn(`The account has no GNK. Send some to ${address}.`);
      return;
    }
    const command = state.kind === "no-public-key" ? await publishCommand(session, native, node) : undefined;
    tell.warn(wordsFor(state, address, command?.shown, node));
    if (ask === undefined || state.kind === "unknown") return;
    const next = await ask.select({
      message: "What now?",
      choices: [
        ...(command?.run === undefined ? [] : [{ value: "run", label: "Run this command now" } as const]),
        { value: "again", label: "I have done it, look again" },
        { value: "go-on", label: "Go on all the same", hint: "requests are refused until then" },
      ],
    });
    if (next === "go-on") return;
    if (next === "run") await command?.run?.();
  }
}

type Lacking =
  | { readonly kind: "no-public-key" | "not-found" }
  | { readonly kind: "unknown"; readonly error: ZephError };

function wordsFor(state: Lacking, address: string, command: string | undefined, node: string): string {
  if (state.kind === "unknown") return `The account could not be looked at. ${state.error.message}`;
  if (state.kind === "no-public-key") {
    return `The account has not published its public key, so nodes cannot check its signatures. Once:\n${command ?? ""}`;
  }
  const register = `inferenced create-client NAME --node-address ${withoutVersion(node)}`;
  return `The network does not know ${address} yet. Send some GNK to it.\nNetworks before v0.2.12 register accounts with: ${register}`;
}

async function publishCommand({ world }: InitSession, { keyring }: NativeKey, node: string) {
  const nodeUrl = withoutVersion(node);
  const chainId = await readChainId(world, nodeUrl);
  const chain = { nodeUrl, chainId: chainId ?? "CHAIN-ID" };
  const args = publishKeyArgs(keyring?.name ?? "NAME", { ...chain, keyring: keyring?.keyring });
  const run =
    keyring === undefined || chainId === undefined
      ? undefined
      : () => keyring.inferenced.publishKey(keyring.keyring, keyring.name, { nodeUrl, chainId });
  return { shown: `inferenced ${args.join(" ")}`, run };
}

/** The command's own default is wrong for every known network. Nodes often have the route switched off. */
async function readChainId(world: InitSession["world"], nodeUrl: string): Promise<string | undefined> {
  try {
    return parseChainStatus((await readNode(`${nodeUrl}/chain-rpc/status`, world)).json).chainId;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

function withoutVersion(baseURL: string): string {
  return baseURL.slice(0, -"/v1".length);
}
