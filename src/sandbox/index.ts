export { type Clock, type ManualClock, manualClock } from "../base/time.ts";
export type { UsagePlacement } from "./answers.ts";
export type { ParticipantInput } from "./blocks.ts";
export { type BuiltInEngineOptions, builtInEngine } from "./built-in.ts";
export type { AccountOptions, ChainStandIn, InferenceState, Ledger, LedgerEntry, SandboxAccount } from "./chain.ts";
export type { FaultSwitch, NodeFault, NodeFaultKind, NodeFaultPlan } from "./classic/faults.ts";
export type { NetworkOptions, SandboxNetwork, SandboxNode } from "./classic/network.ts";
export type { NetworkState, RecordedRequest } from "./classic/node.ts";
export type { ChainFault, DevshardNetwork, DevshardOptions, DevshardUser, RunningHost } from "./devshard/devshard.ts";
export type { DevshardRequest, HostFaults } from "./devshard/host-request.ts";
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
export type { Fault, FaultControl, FaultKind } from "./faults.ts";
export type { BrokerOptions, KeyKind, KeyState, RequestRecord, SandboxKeys } from "./keys.ts";
export {
  type Sandbox,
  type SandboxBroker,
  type SandboxOptions,
  type SandboxWithDevshard,
  type SandboxWithNetwork,
  startSandbox,
} from "./sandbox.ts";
