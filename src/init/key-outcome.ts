import type { Broker } from "../brokers/broker.ts";
import type { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import type { Model } from "../protocol/models.ts";

/** A key was pasted that belongs elsewhere, and its owner wants to go there. It was sent nowhere. */
export type Detour =
  | { readonly kind: "native"; readonly key: Secret }
  | { readonly kind: "other-broker"; readonly broker: Broker; readonly key: Secret };

/** How the question for the key ended. */
export type KeyOutcome =
  | {
      readonly kind: "accepted";
      readonly key: Secret;
      /** The live list; `undefined` when it could not be read. */
      readonly models: readonly Model[] | undefined;
    }
  /** What is at this address does not speak the API. */
  | { readonly kind: "wrong-url"; readonly key: Secret; readonly error: ZephError }
  | Detour;
