export type { Clock } from "../internal/clock.ts";
export { type ManualClock, manualClock } from "../internal/manual-clock.ts";
export type { UsagePlacement } from "./answer/answer-options.ts";
export type { BrokerOptions } from "./broker/broker-state.ts";
export type { KeyKind, KeyState, SandboxKeys } from "./broker/keys.ts";
export type { RequestRecord } from "./broker/request-log.ts";
export { type BuiltInEngineOptions, builtInEngine } from "./built-in-engine.ts";
export type {
  ChatMessage,
  ChatRequest,
  ChatTool,
  Engine,
  EngineEvent,
  EngineUsage,
  ReasoningForm,
  SandboxModel,
} from "./engine.ts";
export type { Fault } from "./faults/fault.ts";
export type { FaultControl } from "./faults/fault-plan.ts";
export type { NetworkOptions, SandboxNetwork } from "./network/start-network.ts";
export { type RemoteEngineOptions, remoteEngine } from "./remote-engine.ts";
export {
  type Sandbox,
  type SandboxBroker,
  type SandboxOptions,
  type SandboxWithNetwork,
  startSandbox,
} from "./start-sandbox.ts";
