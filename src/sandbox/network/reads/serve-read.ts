import type { Exchange } from "../server/exchange.ts";
import type { NodeSetting } from "../server/node-setting.ts";
import { accountRoutes } from "./account-routes.ts";
import { chainApiRoutes } from "./chain-api-routes.ts";
import { chainRpcRoutes } from "./chain-rpc-routes.ts";
import { epochRoutes } from "./epoch-routes.ts";
import { nodeRoutes } from "./node-routes.ts";
import { notFound, type ReadRoute } from "./read-route.ts";

/** Every GET a node answers. */
const ROUTES: readonly ReadRoute[] = [
  ...nodeRoutes,
  ...epochRoutes,
  ...accountRoutes,
  ...chainApiRoutes,
  ...chainRpcRoutes,
];

export function isReadPath(path: string): boolean {
  return ROUTES.some(({ pattern }) => pattern.test(path));
}

/** Answers a GET: none is authenticated. */
export async function serveRead(setting: NodeSetting, exchange: Exchange): Promise<void> {
  const { path, query } = exchange.recorded;
  for (const route of ROUTES) {
    const match = route.pattern.exec(path);
    if (match === null) continue;
    const parameters = match.slice(1).map((part) => decodeURIComponent(part ?? ""));
    exchange.send(await route.answer({ setting, parameters, query: new URLSearchParams(query) }));
    return;
  }
  exchange.send(notFound("Not Found"));
}
