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
} from "./client/connection.ts";
export { type DiscoverOptions, type Discovery, discoverEndpoints } from "./client/discover-endpoints.ts";
export {
  type CachedEndpoints,
  type EndpointCache,
  type EndpointSourceOptions,
  endpointSource,
} from "./client/endpoint-source.ts";
export { type GonkaFetch, gonkaFetch } from "./client/gonka-fetch.ts";
export { listModels } from "./client/list-models.ts";
export type { ParticipantsTrust } from "./client/read-participants.ts";
export { EXIT, type ZephErrorCode } from "./errors/catalogue.ts";
export { type AttemptRecord, type Charged, ZephError, type ZephErrorOptions } from "./errors/zeph-error.ts";
export type { Deadlines } from "./internal/abort.ts";
export type { Clock } from "./internal/clock.ts";
export { Secret } from "./internal/secret.ts";
export { type Endpoint, normalizeBaseURL } from "./protocol/endpoint.ts";
export type { Model } from "./protocol/models.ts";
export type { ExcludedParticipant, Participant } from "./protocol/participants/participant.ts";
export type { Trust } from "./protocol/proof/trust.ts";
export type { SignedPower } from "./protocol/proof/verify-commit.ts";
export {
  type ProofEvidence,
  type ProofLabel,
  type VerifiedParticipants,
  type VerifyParticipantsInput,
  verifyParticipants,
} from "./protocol/proof/verify-participants.ts";
export { RequestSigner } from "./signer/request-signer.ts";
export { EndpointPool, type EndpointPoolOptions, type EndpointStatus } from "./transport/endpoint-pool.ts";
export type { OnTransportEvent, TransportEvent } from "./transport/events.ts";
export type { FetchFunction } from "./transport/fetch-function.ts";
export { VERSION } from "./version.ts";
