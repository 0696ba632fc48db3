import { errorAnswer } from "../faults/static-answers.ts";
import type { Exchange } from "../server/exchange.ts";
import type { NodeSetting } from "../server/node-setting.ts";
import { READ_ROUTES } from "./read-routes.ts";

/** Answers a GET: none is authenticated. */
export async function serveRead(setting: NodeSetting, exchange: Exchange): Promise<void> {
  const { path, query } = exchange.recorded;
  for (const route of READ_ROUTES) {
    const match = route.pattern.exec(path);
    if (match === null) continue;
    const parameters = match.slice(1).map((part) => decodeURIComponent(part ?? ""));
    const answer = await route.answer({ setting, parameters, query: new URLSearchParams(query) });
    return exchange.send(
      "status" in answer && "contentType" in answer
        ? answer
        : { status: 200, contentType: "application/json", body: `${JSON.stringify(answer.json)}\n` },
    );
  }
  exchange.send(errorAnswer(404, "Not Found"));
}
