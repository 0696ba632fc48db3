import { ZephError } from "../errors/zeph-error.ts";
import type { Ask } from "./ask.ts";
import type { Facts } from "./facts.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitWorld } from "./init-world.ts";
import type { SecretStore } from "./secret-store.ts";
import type { Tell } from "./tell.ts";

/** What all steps of one set-up share. */
export interface InitSession {
  readonly world: InitWorld;
  readonly request: InitRequest;
  readonly facts: Facts;
  readonly secrets: SecretStore;
  readonly tell: Tell;
  /** Absent when nobody can be asked. */
  readonly ask: Ask | undefined;
}

/** The asker, or `missing_input` with the flag that would have answered. */
export function askOr(session: Pick<InitSession, "ask">, flag: string): Ask {
  if (session.ask !== undefined) return session.ask;
  throw new ZephError("missing_input", { detail: flag });
}
