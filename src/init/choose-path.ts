import { ZephError } from "../errors/zeph-error.ts";
import { type GatewayChoice, requireBroker } from "./gateway-access.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitSession } from "./init-session.ts";
import { MAIN_NETWORK } from "./main-network.ts";

export type PathChoice = GatewayChoice | "native";

/** Which way to the network: from flags, else from the menu. Throws `usage` for an unknown broker. */
export async function choosePath(session: Pick<InitSession, "request" | "ask" | "facts">): Promise<PathChoice> {
  const { broker } = session.request;
  // Before anything else is missed: what a slip of the name leaves out would be asked for next.
  if (broker !== undefined) requireBroker(broker, session.facts.brokers);
  const decided = pathOf(session.request);
  if (session.ask === undefined) requireAnswers(session, decided);
  if (decided !== undefined) return decided;
  if (session.ask === undefined) throw new ZephError("not_interactive");
  return session.ask.select<PathChoice>({
    message: "How do you want to reach the Gonka network?",
    choices: [
      { value: "gonkagate", label: "Gonka (decentralized — via GonkaGate)", hint: "gateway: API key, works today" },
      { value: "another-broker", label: "Gonka (another broker)" },
      {
        value: "native",
        label: "Gonka (native — signed requests)",
        hint: `closed on mainnet since ${MAIN_NETWORK.closedSince}; for private and test networks`,
      },
      { value: "custom", label: "Compatible (custom)", hint: "any OpenAI-compatible endpoint" },
    ],
  });
}

function pathOf({ path, broker, baseURL, native }: InitRequest): PathChoice | undefined {
  const speaksOfNative = native.sourceUrl !== undefined || native.nodes.length > 0 || native.keyName !== undefined;
  if (path === "native" || (path === undefined && speaksOfNative)) return "native";
  if (broker === undefined && baseURL !== undefined) return "custom";
  return path === "gateway" || broker !== undefined ? "gonkagate" : undefined;
}

/**
 * Where nobody can be asked, all that is missing is named before anything is done. Whether there is a key already is
 * seen later, and also before anything is written.
 */
function requireAnswers(
  { request, facts }: Pick<InitSession, "request" | "facts">,
  path: PathChoice | undefined,
): void {
  const { broker, baseURL, name, model, key, native } = request;
  const providers = facts.config?.providers ?? [];
  const known = providers.find((provider) => provider.name === (name ?? broker ?? path));
  const hasModel = model !== undefined || (known !== undefined && known.type !== "other" && known.model !== undefined);
  const isCustom = path === "custom" || broker === "custom";
  const missing = [
    path === undefined ? "--path gateway or native" : undefined,
    isCustom && baseURL === undefined ? "--base-url URL" : undefined,
    path === "native" && native.sourceUrl === undefined && native.nodes.length === 0
      ? "--source-url URL or --node URL"
      : undefined,
    path === undefined && key === undefined ? "--key-stdin or --key-env NAME" : undefined,
    hasModel ? undefined : "--model ID or auto",
  ].filter((flag) => flag !== undefined);
  if (missing.length === 0) return;
  throw new ZephError(path === undefined ? "not_interactive" : "missing_input", { detail: missing.join(", ") });
}
