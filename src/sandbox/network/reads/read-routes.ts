import { nodeRoutes } from "./node-routes.ts";
import type { ReadRoute } from "./read-route.ts";

/** Every GET a node answers. */
export const READ_ROUTES: readonly ReadRoute[] = [...nodeRoutes];
