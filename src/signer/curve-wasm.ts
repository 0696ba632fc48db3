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
