import type { Curve } from "./curve.ts";
import { javascriptCurve } from "./curve-javascript.ts";
import { loadWasmCurve } from "./curve-wasm.ts";

let active: Curve | undefined;

/**
 * The fastest implementation this runtime allows: libsecp256k1 as WebAssembly, about four times faster than
 * JavaScript (`bench/signer.mjs`), or JavaScript where WebAssembly is refused. Loaded on first use.
 */
export function activeCurve(): Curve {
  active ??= loadWasmCurve() ?? javascriptCurve;
  return active;
}
