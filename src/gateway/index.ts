/**
 * The local endpoint: any OpenAI client on this computer can use a Gonka connection through it.
 *
 * @module
 */

export type { KeptText, KeptTexts } from "../base/kept-texts.ts";
export { Secret } from "../base/secret.ts";
export { ZephError } from "../errors.ts";
export type { ExchangeRecord, Usage } from "./exchange.ts";
export { type LocalGateway, localGateway } from "./gateway.ts";
export { DEFAULT_PORT, type Listening, type ListenOptions, listen } from "./listen.ts";
export type { AskedUpstream, LocalGatewayOptions } from "./state.ts";
