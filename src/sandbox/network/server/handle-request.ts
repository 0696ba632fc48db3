import type { IncomingMessage, ServerResponse } from "node:http";
import { whenAborted } from "../answer/write-stream.ts";
import type { FaultSwitch } from "../faults/fault-switch.ts";
import { isFrontAnswer, type NodeFault } from "../faults/node-fault.ts";
import { errorAnswer, FRONT_ANSWERS, gatewayAnswer, retiredAnswer } from "../faults/static-answers.ts";
import { isReadPath, serveRead } from "../reads/serve-read.ts";
import { CHAT_PATH, COMPLETIONS_PATH } from "../request/incoming-call.ts";
import { type Exchange, exchange, readBody } from "./exchange.ts";
import { isRetired, type NodeSetting } from "./node-setting.ts";
import { serveInference } from "./serve-inference.ts";

/** Echo's BodyLimit and MaxBytesReader: 10 MiB (shared reference 1.5). */
const MAX_BODY_BYTES = 10_485_760;
const DEFAULT_DELAY_MS = 100;

export interface RequestHandling {
  readonly setting: NodeSetting;
  /** For POST requests. */
  readonly faults: FaultSwitch;
  /** For GET requests. */
  readonly readFaults: FaultSwitch;
  readonly stopped: AbortSignal;
}

/** Answers one HTTP request of one node. */
export async function handleRequest(
  handling: RequestHandling,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { setting, stopped } = handling;
  const { body, isTooLarge } = await readBody(message, MAX_BODY_BYTES);
  const nowMs = setting.chain.blocks.nowMs;
  const recorded = setting.log.record(setting.name, message, body, nowMs());
  const answering = exchange(recorded, response, { nowMs, stopped });
  setting.chain.ledger.expire(setting.chain.blocks.latest().height);
  const faults = recorded.method === "POST" ? handling.faults : handling.readFaults;
  const fault = faults.take(recorded.method, recorded.path);
  if (fault !== undefined) recorded.fault = fault.kind;
  if (await playFrontFault(setting, answering, fault)) return;
  if (recorded.method === "OPTIONS") return answerPreflight(answering);
  if (isTooLarge) return answering.send(errorAnswer(413, tooLargeText(message)));
  await route(setting, answering, fault);
}

async function route(setting: NodeSetting, answering: Exchange, fault: NodeFault | undefined): Promise<void> {
  const { method, path, body } = answering.recorded;
  const isClassic = path === CHAT_PATH || path === COMPLETIONS_PATH;
  if (isRetired(setting.state.version)) {
    if (isClassic && (method === "POST" || path === CHAT_PATH)) return answering.send(retiredAnswer());
    if (path === "/v1/devshard" || path.startsWith("/v1/devshard/")) {
      return answering.send(retiredAnswer("/v1/devshard is deprecated; use /devshard/{version}"));
    }
  }
  if (isClassic && method === "POST") {
    const header = (name: string) => answering.recorded.headers[name];
    return serveInference(setting, { path, header, body }, answering, fault);
  }
  if (method === "GET") return serveRead(setting, answering);
  answering.send(
    isClassic || isReadPath(path) ? errorAnswer(405, "Method Not Allowed") : errorAnswer(404, "Not Found"),
  );
}

/** @returns true when the fault was the whole answer */
async function playFrontFault(
  setting: NodeSetting,
  answering: Exchange,
  fault: NodeFault | undefined,
): Promise<boolean> {
  if (fault === undefined) return false;
  if (isFrontAnswer(fault.kind)) {
    const isGateway = fault.kind === "gateway-401";
    answering.send(isGateway ? gatewayAnswer(askedModel(answering.recorded.body)) : FRONT_ANSWERS[fault.kind]);
    return true;
  }
  switch (fault.kind) {
    case "drop":
      answering.drop();
      return true;
    case "hang":
      await whenAborted(answering.signal);
      answering.drop();
      return true;
    case "redirect":
      answering.begin(307, [["Location", fault.location ?? "http://127.0.0.1:9/"]]);
      answering.end();
      return true;
    case "slow":
      await setting.clock.sleep(fault.delayMs ?? DEFAULT_DELAY_MS);
      return false;
    default:
      return false;
  }
}

function askedModel(body: Buffer): string {
  return /"model"\s*:\s*"([^"]*)"/.exec(body.toString("utf8"))?.[1] ?? "";
}

/** Echo knows a declared length before reading; without one the reader hits the limit on the way. */
function tooLargeText(message: IncomingMessage): string {
  return message.headers["content-length"] === undefined ? "request body too large" : "Request Entity Too Large";
}

/** The proxy's CORS answer: X-Requester-Address and X-Timestamp are not among the headers a browser may send. */
function answerPreflight(answering: Exchange): void {
  answering.begin(204, [
    ["Access-Control-Allow-Methods", "GET, POST, OPTIONS"],
    [
      "Access-Control-Allow-Headers",
      "DNT,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
    ],
  ]);
  answering.end();
}
