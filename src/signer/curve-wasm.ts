import { createRequire } from "node:module";
import type { Curve } from "./curve.ts";

/** libsecp256k1 compiled to WebAssembly; `undefined` where the runtime cannot load it. */
export function loadWasmCurve(): Curve | undefined {
  const library = loadLibrary();
  if (library === undefined) return undefined;
  return {
    name: "wasm",
    publicKeyOf(privateKey) {
      const publicKey = library.pointFromScalar(privateKey, true);
      if (publicKey === null) throw new RangeError("not a valid scalar");
      return publicKey;
    },
    signDigest: (digest, privateKey) => library.sign(digest, privateKey),
    signRecoverable(digest, privateKey) {
      const { signature, recoveryId } = library.signRecoverable(digest, privateKey);
      const whole = new Uint8Array(65);
      whole.set(signature);
      whole[64] = recoveryId;
      return whole;
    },
    recover(digest, signature) {
      const recoveryId = signature[64];
      if (recoveryId !== 0 && recoveryId !== 1 && recoveryId !== 2 && recoveryId !== 3) return undefined;
      try {
        return library.recover(digest, signature.subarray(0, 64), recoveryId, true) ?? undefined;
      } catch {
        // Thrown for r or s of zero or above the order, and for a point that does not exist.
        return undefined;
      }
    },
  };
}

function loadLibrary(): typeof import("tiny-secp256k1") | undefined {
  try {
    // The package compiles its module while it is being loaded. An import statement would make that failure fatal, and
    // a dynamic import would make signers asynchronous.
    return createRequire(import.meta.url)("tiny-secp256k1") as typeof import("tiny-secp256k1");
  } catch {
    // WebAssembly is switched off (node --jitless, some edge runtimes), or a bundler left the package out.
    return undefined;
  }
}
