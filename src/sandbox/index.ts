export type { Clock } from "../internal/clock.ts";
export { type ManualClock, manualClock } from "../internal/manual-clock.ts";
export type { UsagePlacement } from "./answer/answer-options.ts";
export type { BrokerOptions } from "./broker/broker-state.ts";
export type { KeyKind, KeyState, SandboxKeys } from "./broker/keys.ts";
export type { RequestRecord } from "./broker/request-log.ts";
export { type BuiltInEngineOptions, builtInEngine } from "./built-in-engine.ts";
export type { ChainFault } from "./devshard/chain-server.ts";
export type { HostFaults } from "./devshard/host-faults.ts";
export type { DevshardNetwork, DevshardOptions, DevshardUser, RunningHost } from "./devshard/start-devshard.ts";
export type { DevshardRequest } from "./devshard/watch.ts";
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
export type { Fault, FaultKind } from "./faults/fault.ts";
export type { FaultControl } from "./faults/fault-plan.ts";
export type { AccountOptions, SandboxAccount } from "./network/chain/accounts.ts";
export type { ChainStandIn } from "./network/chain/chain.ts";
export type { ParticipantInput } from "./network/chain/epoch-book.ts";
export type { InferenceState, Ledger, LedgerEntry } from "./network/chain/ledger.ts";
export type { FaultSwitch, NodeFaultPlan } from "./network/faults/fault-switch.ts";
export type { NodeFault, NodeFaultKind } from "./network/faults/node-fault.ts";
export type { SandboxNode } from "./network/network-node.ts";
export type { NetworkState } from "./network/server/node-setting.ts";
export type { RecordedRequest } from "./network/server/request-log.ts";
export type { NetworkOptions, SandboxNetwork } from "./network/start-network.ts";
export {
  type Sandbox,
  type SandboxBroker,
  type SandboxOptions,
  type SandboxWithDevshard,
  type SandboxWithNetwork,
  startSandbox,
} from "./start-sandbox.ts";
