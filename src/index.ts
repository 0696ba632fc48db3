export { Secret } from "./base/secret.ts";
export type { Clock, Deadlines } from "./base/time.ts";
export type { FetchFunction } from "./base/world.ts";
export {
  type AttemptRecord,
  type Charged,
  EXIT,
  ZephError,
  type ZephErrorCode,
  type ZephErrorOptions,
} from "./errors.ts";
export {
  type DiscoverOptions,
  type Discovery,
  discoverEndpoints,
  type ParticipantsTrust,
} from "./network/discovery.ts";
export { RequestSigner } from "./signer/signer.ts";
export type {
  BrokerConnection,
  Connection,
  ConnectionOptions,
  DevshardConnection,
  NativeConnection,
  NativeConnectionOptions,
  NodeAddress,
  Nodes,
  SignerChoice,
} from "./transport/connection.ts";
export { type GonkaFetch, gonkaFetch, listModels } from "./transport/gonka-fetch.ts";
export {
  type CachedEndpoints,
  type EndpointCache,
  type EndpointSourceOptions,
  endpointSource,
} from "./transport/native.ts";
export {
  EndpointPool,
  type EndpointPoolOptions,
  type EndpointStatus,
  type OnTransportEvent,
  type TransportEvent,
} from "./transport/policy.ts";
export { VERSION } from "./version.ts";
export { type Endpoint, normalizeBaseURL } from "./wire/endpoint.ts";
export type { Model } from "./wire/models.ts";
export {
  type ExcludedParticipant,
  type Participant,
  type ProofEvidence,
  type ProofLabel,
  type Trust,
  type VerifiedParticipants,
  type VerifyParticipantsInput,
  verifyParticipants,
} from "./wire/participants.ts";
export type { SignedPower } from "./wire/tendermint.ts";
