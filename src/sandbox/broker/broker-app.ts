import { Hono } from "hono";
import { ZephError } from "../../errors/zeph-error.ts";
import { playFaults } from "../faults/play-faults.ts";
import { unanswered } from "../faults/unanswered.ts";
import { addAccountRoutes } from "./account-routes.ts";
import { htmlPage, refusalResponse } from "./broker-refusal.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";
import { addChatRoute } from "./chat-route.ts";
import { addEmbeddingsRoute } from "./embeddings-route.ts";
import { addModelRoutes } from "./model-routes.ts";
import { recordRequests } from "./record-requests.ts";

/** Endpoints of the OpenAI API that this broker knows by name and does not offer (GonkaGate documentation, 2026). */
const UNSUPPORTED = ["/v1/responses", "/v1/completions", "/v1/images/*", "/v1/audio/*", "/v1/files", "/v1/batches"];

/** The fake broker as an app: `app.fetch` is a `(Request) => Promise<Response>`. */
export function brokerApp(state: BrokerState): Hono<BrokerEnv> {
  const app = new Hono<BrokerEnv>();
  app.use(recordRequests(state));
  app.use(playFaults(state));
  addModelRoutes(app, state);
  addChatRoute(app, state);
  addEmbeddingsRoute(app, state);
  addAccountRoutes(app, state);
  app.get("/health", () => Response.json({ status: "ok" }));
  app.on("POST", UNSUPPORTED, (context) =>
    refusalResponse({ status: 404, code: "not_found", message: `${context.req.path} is not supported.` }),
  );
  app.notFound(() => htmlPage(404, "Not Found"));
  app.onError((error, context) => {
    if (context.req.raw.signal.aborted) return unanswered();
    // The remote engine's failures arrive as our errors; anything else is a fault of the sandbox itself.
    const status = ZephError.is(error) ? error.httpStatus : 500;
    const message = ZephError.is(error) ? error.message : "The sandbox failed in a way it did not expect.";
    return refusalResponse({ status, message, code: ZephError.is(error) ? error.code : "internal_error" });
  });
  return app;
}
