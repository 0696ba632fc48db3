/**
 * The local endpoint: any OpenAI client on this computer can use a Gonka connection through it.
 *
 * @module
 */
export { ZephError } from "../errors/zeph-error.ts";
export { Secret } from "../internal/secret.ts";
export type { ExchangeRecord, Usage } from "./exchange.ts";
export { type LocalGateway, localGateway } from "./local-gateway.ts";
export type { LocalGatewayOptions } from "./local-gateway-options.ts";
export { DEFAULT_PORT, type Listening, type ListenOptions, listen } from "./server/listen.ts";
