import { type Clock, untilAborted } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import { chainClient } from "../network/chain.ts";
import { readTransactions } from "../network/chain-transaction.ts";
import { parsePrivateKey } from "../signer/signer.ts";
import { PHASE } from "../wire/devshard/ledger.ts";
import { devshardSigner } from "../wire/devshard/signing.ts";
import { isRead, type OutgoingRequest } from "./body.ts";
import { devshardChat } from "./devshard-chat.ts";
import { claimTimeouts, dueTimeouts } from "./devshard-close.ts";
import { chainFolder, type OpenEscrow, openEscrows } from "./devshard-index.ts";
import { createEscrow, type DevshardWorld, openSession, provePlace, resumeOpening } from "./devshard-open.ts";
import type { DevshardSession } from "./devshard-session.ts";
import { errorResponse } from "./failover.ts";
import type { Send } from "./send.ts";

interface DevshardSendOptions {
  /** 64 hex digits, or base64 of 32 bytes: the key of the escrows' creator. */
  readonly privateKey: string;
  /** Nodes, or their REST interfaces: the next is asked while one does not answer. */
  readonly sourceUrl: string | readonly string[];
  /** Address prefix of the network. Default `gonka`. */
  readonly prefix?: string | undefined;
  /** Where the journals lie: zeph's state folder. */
  readonly stateFolder: string;
  /** Longest answer where a request says none, tokens. Default 4096. */
  readonly maxTokens?: number | undefined;
  /** Opens an escrow by itself when there is none with room. Absent: it never does. */
  readonly autoOpen?: AutoOpen | undefined;
  readonly fetch: FetchFunction;
  readonly clock: Clock;
}

/** How much a program may spend without asking. */
interface AutoOpen {
  readonly model: string;
  /** ngonka for each escrow. */
  readonly amount: bigint;
  /** Escrows in 24 hours. */
  readonly maxPerDay: number;
}

const DEFAULT_MAX_TOKENS = 4096;
const DAY_MS = 24 * 3_600_000;

/** Work that begins this near the end may not be settled in time. */
const LAST_WORK_MS = 30 * 60_000;
const UPKEEP_MS = 30_000;

/** Interrupted answers are kept for whoever asks again this long. */
const KEEP_ANSWERS_MS = 10 * 60_000;

/**
 * Sends chat completions over the open escrows of one key: the newest with room for the model first. Throws
 * `devshard_none_open`, `devshard_exhausted` and what a session throws; nothing is repeated by whoever calls it, as each try
 * is an order of its own.
 */
export function sendDevshard(options: DevshardSendOptions): Send {
  const pool = new SessionPool(options);
  return async (_endpoint, request, signal) => {
    if (isRead(request)) return models(pool, request);
    if (!request.path.startsWith("/chat/completions")) {
      return errorResponse(new ZephError("unsupported_capability", { detail: `a devshard has no ${request.path}` }));
    }
    const body = request.body ?? new Uint8Array();
    const model = modelOf(body);
    const tried = new Set<string>();
    for (;;) {
      const session = await untilAborted(pool.sessionFor(model, tried), signal);
      tried.add(session.ledger.config.escrowId);
      try {
        const { maxTokens = DEFAULT_MAX_TOKENS } = options;
        return await devshardChat(body, { session, model: session.journal.facts.model, maxTokens, signal });
      } catch (error) {
        if (!ZephError.is(error) || error.code !== "devshard_exhausted") throw error;
        pool.refuse(session, error);
      } finally {
        pool.lookAfter(session);
      }
    }
  };
}

function modelOf(body: Uint8Array): string {
  try {
    const { model } = JSON.parse(new TextDecoder().decode(body));
    if (typeof model === "string" && model !== "") return model;
  } catch {
    // Said below.
  }
  throw new ZephError("invalid_request", { detail: "the body names no model" });
}

/** What can be asked now: the models that open escrows pay for. */
async function models(pool: SessionPool, { path }: OutgoingRequest): Promise<Response> {
  if (!/^\/models(?:$|[?/])/.test(path)) {
    return errorResponse(new ZephError("unsupported_capability", { detail: `a devshard has no ${path}` }));
  }
  const ids = [...new Set([...(await pool.open()).map(({ model }) => model), ...pool.autoModels()])];
  return Response.json({ object: "list", data: ids.map((id) => ({ id, object: "model", owned_by: "gonka" })) });
}

class SessionPool {
  readonly #options: DevshardSendOptions;
  readonly #world: DevshardWorld;
  readonly #sessions = new Map<string, Promise<DevshardSession>>();
  readonly #refusals = new Map<string, ZephError>();
  readonly #watched = new Set<DevshardSession>();
  #opening: Promise<OpenEscrow> | undefined;
  #isResumed = false;

  constructor(options: DevshardSendOptions) {
    const { fetch, clock, stateFolder, sourceUrl, privateKey, prefix } = options;
    this.#options = options;
    const signer = devshardSigner(parsePrivateKey(privateKey), { prefix });
    this.#world = { chain: chainClient(sourceUrl, { fetch, clock }), signer, stateFolder, fetch, clock };
  }

  autoModels(): readonly string[] {
    return this.#options.autoOpen === undefined ? [] : [this.#options.autoOpen.model];
  }

  /** The key's open escrows, newest first. */
  async open(): Promise<readonly OpenEscrow[]> {
    const { signer, stateFolder } = this.#world;
    return openEscrows(stateFolder)
      .filter(({ creator }) => creator === signer.address)
      .toSorted((a, b) => b.openedAtMs - a.openedAtMs);
  }

  async sessionFor(model: string, tried: ReadonlySet<string>): Promise<DevshardSession> {
    if (!this.#isResumed) {
      // A start that was killed after paying is carried on before anything new is thought of.
      await resumeOpening(this.#world);
      this.#isResumed = true;
    }
    const { clock } = this.#world;
    let refusal: ZephError | undefined;
    const open = await this.open();
    for (const escrow of open) {
      if (escrow.model !== model) continue;
      refusal ??= this.#refusals.get(keyOf(escrow));
      if (tried.has(escrow.escrowId) || this.#refusals.has(keyOf(escrow))) continue;
      if (escrow.settleByMs - clock.nowMs() < LAST_WORK_MS) {
        refusal ??= exhausted(escrow, "its time is nearly over; it must be settled now");
        continue;
      }
      const session = await this.#session(escrow);
      if (session.ledger.phase === PHASE.active && session.journal.settled === undefined) return session;
      refusal ??= exhausted(escrow, "it is being closed");
    }
    const auto = this.#options.autoOpen;
    if (auto?.model === model) return this.#session(await this.#openOnce(auto));
    if (refusal !== undefined) throw refusal;
    const others = [...new Set(open.map((each) => each.model))];
    const detail = others.length === 0 ? model : `${model}; there is one for ${others.join(", ")}`;
    throw new ZephError("devshard_none_open", { detail });
  }

  refuse(session: DevshardSession, error: ZephError): void {
    this.#refusals.set(keyOf(session.journal.facts.config, session.journal.facts.chainId), error);
    // Reservations come back as answers end, so it may have room again a little later.
    this.#world.clock.schedule(UPKEEP_MS, () => this.#refusals.clear());
  }

  /**
   * In quiet moments: the hosts' mempools, and what was never answered; one that is settled is let go. A timer, so it keeps
   * no process alive.
   */
  lookAfter(session: DevshardSession): void {
    if (this.#watched.has(session)) return;
    this.#watched.add(session);
    const later = () => {
      this.#world.clock.schedule(UPKEEP_MS, () => {
        void this.#letGo(session)
          .then(async (isGone) => {
            if (isGone) return;
            await upkeep(session).catch(() => undefined);
            later();
          })
          .catch(later);
      });
    };
    later();
  }

  /** Closes the journal of an escrow that is no longer open, whoever settled it. */
  async #letGo(session: DevshardSession): Promise<boolean> {
    const { config, chainId } = session.journal.facts;
    const isOpen = (await this.open()).some((each) => keyOf(each) === keyOf(config, chainId));
    if (isOpen || session.inFlight.size > 0) return false;
    this.#sessions.delete(keyOf(config, chainId));
    this.#watched.delete(session);
    await session.journal.close();
    return true;
  }

  #session(escrow: OpenEscrow): Promise<DevshardSession> {
    const key = keyOf(escrow);
    const known = this.#sessions.get(key);
    if (known !== undefined) return known;
    const opening = openSession(this.#world, escrow).catch((error: unknown) => {
      this.#sessions.delete(key);
      throw error;
    });
    this.#sessions.set(key, opening);
    return opening;
  }

  #openOnce(auto: AutoOpen): Promise<OpenEscrow> {
    this.#opening ??= this.#openNew(auto).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openNew({ model, amount, maxPerDay }: AutoOpen): Promise<OpenEscrow> {
    const { chain, stateFolder, clock, signer } = this.#world;
    const folder = chainFolder(stateFolder, await chain.chainId());
    const sinceMs = clock.nowMs() - DAY_MS;
    const today = (await readTransactions(folder)).filter(
      ({ purpose, atMs }) => purpose === `create ${signer.address}` && atMs > sinceMs,
    );
    if (today.length >= maxPerDay) {
      throw new ZephError("devshard_exhausted", {
        detail: `${today.length} escrows were opened in 24 hours, which is the limit of devshard_auto_open`,
        hint: "Open one with `zeph devshard open`, raise devshard_auto_open, or wait.",
      });
    }
    const params = await chain.params();
    if (params.maxNonce === 0)
      throw new ZephError("devshard_none_open", { detail: "max_nonce of the chain is 0: nothing could be settled" });
    if (!params.allowedCreators.includes(signer.address))
      throw new ZephError("devshard_not_allowed", { detail: signer.address });
    const escrow = await createEscrow(this.#world, { model, amount, params });
    await provePlace(await this.#session(escrow));
    return escrow;
  }
}

async function upkeep(session: DevshardSession): Promise<void> {
  session.releaseAnswers(KEEP_ANSWERS_MS);
  if (session.ledger.phase !== PHASE.active || session.inFlight.size > 0) return;
  if (session.ledger.live.length === 0) return;
  await session.pollMempools();
  if (dueTimeouts(session).length > 0) await claimTimeouts(session);
}

function keyOf(
  { escrowId, chainId }: { readonly escrowId: string; readonly chainId?: string },
  chain = chainId,
): string {
  return `${chain}/${escrowId}`;
}

function exhausted({ escrowId }: OpenEscrow, why: string): ZephError {
  return new ZephError("devshard_exhausted", { detail: `escrow ${escrowId}: ${why}` });
}
