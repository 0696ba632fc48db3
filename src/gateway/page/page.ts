import type { Clock } from "../../base/time.ts";
import { ZephError } from "../../errors.ts";
import { isLoopback } from "../../wire/endpoint.ts";
import { type Answer, jsonAnswer, toZephError } from "../answer.ts";
import { type ExchangeRecord, type GatewayRequest, readJsonBody } from "../exchange.ts";
import { type ApiContext, apiAnswer, pageError } from "./api.ts";
import { contentPolicy, pageFiles } from "./files.ts";
import { requestLog } from "./live.ts";
import { pageSessions } from "./session.ts";
import type { PageSources, Settled } from "./sources.ts";

/** The page of `zeph serve`: files for a browser, and an API for those files only. */
export interface Page {
  /**
   * The answer to a request for the page; `undefined` for every other one, and for callers on other computers and by
   * other names: for them there is no page.
   *
   * @param peer address at the other end of the connection
   */
  answer(request: GatewayRequest, peer: string | undefined): Promise<Answer> | undefined;
  /** A token for a link: what follows `/#token=`. */
  mintToken(): string;
  /** To be told of every request to the endpoint; see `LocalGatewayOptions.onOpen`. */
  opened(record: ExchangeRecord, request: GatewayRequest): GatewayRequest | undefined;
  ended(record: ExchangeRecord, settled: Settled): void;
  /** Ends what would stream for ever. */
  close(): void;
}

interface PageOptions {
  readonly sources: PageSources;
  /** Where `index.html` lies. */
  readonly folder: string;
  /** Name of the provider that is asked first. */
  readonly provider: string;
  /** What `zeph open` proves to know. */
  readonly linkKey: string;
  readonly clock: Clock;
}

export function page({ sources, folder, provider, linkKey, clock }: PageOptions): Page {
  const files = pageFiles(folder);
  const log = requestLog({ provider, clock });
  const sessions = pageSessions(linkKey, clock);
  const stop = new AbortController();
  const context: ApiContext = { sources, log, stopping: stop.signal };

  async function answer(path: string, request: GatewayRequest): Promise<Answer> {
    try {
      if (!path.startsWith("/page/api/")) return await fileAnswer(path, request);
      refuseOtherPages(request);
      const route = path.slice("/page/api/".length);
      if (request.method === "POST" && route === "session") return await beginSession(request);
      if (request.method === "POST" && route === "link") return await giveLink(request);
      sessions.check(request.headers.get("cookie"), cookieName(request));
      return await apiAnswer(route, request, context);
    } catch (thrown) {
      if (request.hasLeft) return { status: 499, headers: {}, body: null };
      return pageError(toZephError(thrown));
    }
  }
  async function fileAnswer(path: string, request: GatewayRequest): Promise<Answer> {
    if (request.method !== "GET" && request.method !== "HEAD") throw new ZephError("method_not_allowed");
    const found = await files.answer(path === "/" ? "index.html" : path.slice("/page/".length), request.headers);
    return found ?? pageError(new ZephError("route_not_found", { hint: "The page is at /; `zeph open` opens it." }));
  }
  async function beginSession(request: GatewayRequest): Promise<Answer> {
    const { token } = (await readJsonBody(request, SMALL)).value;
    const session = sessions.begin(typeof token === "string" ? token : "");
    const cookie = `${cookieName(request)}=${session}; Path=/page/api/; HttpOnly; SameSite=Strict`;
    return { status: 204, headers: { "set-cookie": cookie }, body: null };
  }
  async function giveLink(request: GatewayRequest): Promise<Answer> {
    const { nonce, proof } = (await readJsonBody(request, SMALL)).value;
    return jsonAnswer(sessions.mintForProof(String(nonce), String(proof)));
  }

  return {
    answer(request, peer) {
      const path = pagePath(request);
      if (path === undefined || !isThisComputer(request, peer)) return undefined;
      return answer(path, request).then(guarded);
    },
    mintToken: sessions.mintToken,
    opened: log.opened,
    ended: log.ended,
    close: () => stop.abort(),
  };
}

const SMALL = { maxBytes: 4096, reserve: () => {} };

/** The path of a request for the page, without looking closely at any other. */
function pagePath({ method, target }: GatewayRequest): string | undefined {
  if (target === "/" || target.startsWith("/?")) return method === "GET" || method === "HEAD" ? "/" : undefined;
  return target.startsWith("/page/") ? target.replace(/\?.*$/s, "") : undefined;
}

const LOOPBACK_PEER = /^(?:(?:::ffff:)?127(?:\.\d{1,3}){3}|::1)$/;

/** Both ends: the caller sits here, and calls this computer by one of its own names (a page elsewhere cannot). */
function isThisComputer({ host: called }: GatewayRequest, peer: string | undefined): boolean {
  if (peer === undefined || !LOOPBACK_PEER.test(peer)) return false;
  const host = `http://${called}`;
  return URL.canParse(host) && isLoopback(host);
}

/**
 * Other sites, other ports of this computer, and forms. A browser says where a request comes from; a header of our own is
 * what no form and no image can send.
 */
function refuseOtherPages({ method, headers }: GatewayRequest): void {
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  const isOwn = origin === null || origin.toLowerCase() === `http://${headers.get("host")?.toLowerCase()}`;
  if (!isOwn || (site !== null && site !== "same-origin" && site !== "none")) throw refusedPage();
  if (method !== "GET" && method !== "HEAD" && headers.get("x-zeph-page") !== "1") throw refusedPage();
}

function refusedPage(): ZephError {
  return new ZephError("origin_refused", { hint: "Only zeph's own page may ask this; `zeph open` opens it." });
}

/** Browsers keep cookies of one host together whatever the port, so the port stands in the name. */
function cookieName({ headers }: GatewayRequest): string {
  return `zeph_page_${/:(\d{1,5})$/.exec(headers.get("host") ?? "")?.[1] ?? "80"}`;
}

const GUARDS = {
  "content-security-policy": contentPolicy(""),
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

function guarded(answer: Answer): Answer {
  return { ...answer, headers: { ...GUARDS, ...answer.headers } };
}
