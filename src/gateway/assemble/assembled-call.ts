import { asObject, type JsonObject } from "../read-json-body.ts";

/** A tool call that arrives in pieces. */
export interface OpenCall {
  id: string;
  name: string;
  argumentsJson: string;
}

/** Adds the pieces of one delta to the calls they belong to: by index, and without one to the latest. */
export function addCallPieces(calls: Map<number, OpenCall>, pieces: unknown): void {
  if (!Array.isArray(pieces)) return;
  for (const value of pieces) {
    const piece = asObject(value);
    if (piece === undefined) continue;
    const index = typeof piece.index === "number" ? piece.index : Math.max(calls.size - 1, 0);
    const call = calls.get(index) ?? { id: "", name: "", argumentsJson: "" };
    const target = asObject(piece.function);
    if (call.id === "" && typeof piece.id === "string") call.id = piece.id;
    if (call.name === "" && typeof target?.name === "string") call.name = target.name;
    call.argumentsJson += argumentsPiece(target?.arguments);
    calls.set(index, call);
  }
}

function argumentsPiece(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "object" && value !== null ? JSON.stringify(value) : "";
}

/** The calls in their order. MiniMax streams one call as two entries, the second without a name: it says nothing new. */
export function finishedCalls(calls: ReadonlyMap<number, OpenCall>): readonly JsonObject[] {
  return [...calls]
    .sort(([a], [b]) => a - b)
    .filter(([, { name }]) => name !== "")
    .map(([index, { id, name, argumentsJson }]) => ({
      id: id === "" ? `functions.${name}:${index}` : id,
      type: "function",
      function: { name, arguments: argumentsJson },
    }));
}
