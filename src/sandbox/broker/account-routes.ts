import type { Context, Hono } from "hono";
import { PLATFORM_FEE_RATE } from "../answer/price.ts";
import type { SandboxModel } from "../engine.ts";
import { accountRefusalResponse } from "./broker-refusal.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";
import { refuseKey } from "./keys.ts";

/** GonkaGate's own API beside `/v1`: prices and the state of the account (its documentation, 2026). */
export function addAccountRoutes(app: Hono<BrokerEnv>, state: BrokerState): void {
  const nowIso = () => new Date(state.clock.nowMs()).toISOString();
  const priceList = async () =>
    Response.json({
      success: true,
      data: { updatedAt: nowIso(), models: (await state.engine.models()).map(priceEntry) },
    });
  app.get("/api/v1/public/pricing", priceList);
  app.get("/api/v1/pricing", async (context) => refuseAccount(context, state) ?? (await priceList()));
  app.get("/api/v1/whoami", (context) => refuseAccount(context, state) ?? Response.json(whoami(context, state)));
}

function refuseAccount(context: Context<BrokerEnv>, state: BrokerState): Response | undefined {
  const { key, requestId } = context.get("record");
  // An unverified account may ask about itself: that is how it learns what is missing.
  if (key === "unverified") return undefined;
  const nowMs = state.clock.nowMs();
  const refusal = refuseKey(key, { billed: false, policy: state.options, nowMs });
  return refusal === undefined ? undefined : accountRefusalResponse(refusal, requestId, nowMs);
}

function priceEntry(model: SandboxModel): object {
  const network = model.promptUsdPer1M;
  const platformFee = round(network * PLATFORM_FEE_RATE);
  return { id: model.id, usdPer1MTokens: { network, platformFee, total: round(network + platformFee) } };
}

const round = (usd: number) => Math.round(usd * 1e6) / 1e6;

function whoami(context: Context<BrokerEnv>, state: BrokerState): object {
  const { key } = context.get("record");
  const hasMoney = key !== "outOfMoney";
  return {
    success: true,
    data: {
      user: { emailMasked: "s***@example.com", emailVerified: key !== "unverified" },
      apiKey: {
        name: "sandbox",
        maskedKey: "gp-****",
        status: "active",
        expiresAt: null,
        lastUsed: new Date(state.clock.nowMs()).toISOString(),
      },
      balance: hasMoney ? { usd: "10.00", status: "active" } : { usd: "0.00", status: "suspended" },
    },
  };
}
