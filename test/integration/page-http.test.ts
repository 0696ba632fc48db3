import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/time.ts";
import type { CliContext } from "../../src/base/world.ts";
import type { Flags } from "../../src/cli/command-table.ts";
import { runCompare } from "../../src/cli/commands/compare.ts";
import { runOpen } from "../../src/cli/commands/open.ts";
import { runServe, type ServeFlags } from "../../src/cli/commands/serve.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { type TestCli, testCli } from "../support/cli-context.ts";
import { CHAT, HELLO, until } from "./gateway-world.ts";

interface Running extends TestCli {
  readonly port: number;
  readonly token: string | undefined;
  stop(): Promise<number>;
}

const KEY = "sk-local-key-that-must-not-reach-the-page";
let sandbox: Sandbox;
let home: string;
let running: Running;

function contextOf(cli: TestCli, signal: AbortSignal): CliContext {
  return { ...cli.context, fetch: globalThis.fetch, signal, clock: systemClock, random: Math.random };
}

async function serve(flags: ServeFlags = {}, homeDir = home): Promise<Running> {
  const controller = new AbortController();
  const env = {
    ZEPH_COMPATIBLE_BOX_API_KEY: sandbox.broker.keys.good,
    ZEPH_LOCAL_GATEWAY_API_KEY: KEY,
  };
  const cli = testCli({ homeDir, env, paths: { vaultBackend: "env" } });
  const ending = runServe(contextOf(cli, controller.signal), { port: "0", ...flags });
  let failure: unknown;
  ending.catch((error: unknown) => {
    failure = error;
  });
  await until(() => cli.stdout() !== "" || failure !== undefined);
  if (failure !== undefined) throw failure;
  const [, port = ""] = /http:\/\/[\w.]+:(\d+)\/v1/.exec(cli.stdout()) ?? [];
  const [, token] = /\/#token=([\w-]+)/.exec(cli.stdout()) ?? [];
  async function stop(): Promise<number> {
    controller.abort();
    return ending;
  }
  return { ...cli, port: Number(port), token, stop };
}

beforeAll(async () => {
  sandbox = await startSandbox({ broker: { recordBodies: true } });
  home = await mkdtemp(join(tmpdir(), "zeph-page-"));
  await mkdir(join(home, ".config/zeph"), { recursive: true });
  const record = `[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${sandbox.broker.baseURL}"\nmodel = "${CHAT}"\n`;
  await writeFile(join(home, ".config/zeph/config.toml"), record);
  running = await serve();
});
afterAll(async () => {
  await running.stop();
  await sandbox.stop();
  await rm(home, { recursive: true });
});

interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly port?: number;
}

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** By hand: `fetch` sends neither a `Host` of ours nor a path that climbs. */
function send(path: string, { method = "GET", headers = {}, body, port = running.port }: Sent = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const length = text === undefined ? {} : { "content-length": String(Buffer.byteLength(text)) };
    const outgoing = httpRequest(
      { host: "127.0.0.1", port, path, method, headers: { ...headers, ...length } },
      (incoming) => {
        let all = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (piece: string) => {
          all += piece;
        });
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text: all }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}

const OWN = { "x-zeph-page": "1" };

async function openLink(print: { readonly port?: string } = {}): Promise<string> {
  const cli = testCli({ homeDir: home });
  await runOpen(contextOf(cli, new AbortController().signal), { ...print, print: true });
  return /#token=([\w-]+)/.exec(cli.stdout())?.[1] ?? "";
}

async function begin(): Promise<Readonly<Record<string, string>>> {
  const { status, headers } = await send("/page/api/session", {
    method: "POST",
    headers: OWN,
    body: { token: await openLink({ port: String(running.port) }) },
  });
  expect(status).toBe(204);
  return { ...OWN, cookie: String(headers["set-cookie"]).split(";")[0] ?? "" };
}

const codeOf = ({ text }: Got): unknown => JSON.parse(text).error?.code;

/** The events of a stream, each with its type. */
function eventsIn(text: string): readonly { readonly type: string; readonly [name: string]: unknown }[] {
  return text.split("\n\n").flatMap((block) => {
    const [, type, data] = /^event: (\w+)\ndata: (.*)$/s.exec(block) ?? [];
    return type === undefined || data === undefined ? [] : [{ type, ...JSON.parse(data) }];
  });
}

describe("the door of the page", () => {
  it("opens once with the link that serve prints, for this run's browser only", async () => {
    const spent = { method: "POST", headers: OWN, body: { token: running.token } };
    const first = await send("/page/api/session", spent);
    expect(first.status).toBe(204);
    const cookie = String(first.headers["set-cookie"]);
    expect(cookie).toMatch(/^zeph_page_\d+=[\w-]{43}; Path=\/page\/api\/; HttpOnly; SameSite=Strict$/);
    const again = await send("/page/api/session", spent);
    expect([again.status, codeOf(again)]).toEqual([401, "page_session_missing"]);
    expect(JSON.parse(again.text).error.hint).toContain("zeph open");
    const state = await send("/page/api/state", { headers: { cookie: cookie.split(";")[0] ?? "" } });
    expect(JSON.parse(state.text)).toMatchObject({ provider: "box", model: CHAT, demo: false, promptsKept: false });
  });

  it("stays shut without a session, and for a made-up one", async () => {
    const name = `zeph_page_${running.port}`;
    for (const cookie of ["", `${name}=`, `${name}=${"A".repeat(43)}`, `other=${running.token}`]) {
      const got = await send("/page/api/state", { headers: { cookie } });
      expect([got.status, codeOf(got)]).toEqual([401, "page_session_missing"]);
    }
    // The endpoint's own key is another thing.
    const withKey = await send("/page/api/state", { headers: { authorization: `Bearer ${KEY}` } });
    expect(withKey.status).toBe(401);
  });

  it("is not there for other names of this computer, as a page elsewhere would call it", async () => {
    const cookie = (await begin()).cookie ?? "";
    for (const host of ["evil.example", `evil.example:${running.port}`, "127.0.0.1.evil.example", "192.168.1.7"]) {
      for (const path of ["/", "/page/main.js", "/page/api/state", "/page/api/chats"]) {
        const got = await send(path, { headers: { host, cookie } });
        expect([host, path, got.status]).toEqual([host, path, 403]);
        expect(codeOf(got)).toBe("host_refused");
        expect(got.headers["set-cookie"]).toBeUndefined();
      }
    }
    const other = await send("/page/api/state", { headers: { host: `localhost:${running.port}`, cookie } });
    expect(other.status).toBe(200);
  });

  it("takes nothing from other pages, other ports, forms and images", async () => {
    const headers = await begin();
    const ask = async (more: Readonly<Record<string, string>>, method = "GET") => {
      const got = await send("/page/api/chats", { method, headers: { ...headers, ...more } });
      return got.status;
    };
    expect(await ask({})).toBe(200);
    expect(await ask({ origin: `http://127.0.0.1:${running.port}` })).toBe(200);
    expect(await ask({ "sec-fetch-site": "same-origin" })).toBe(200);
    for (const origin of ["http://evil.example", "null", "http://127.0.0.1:1", `https://127.0.0.1:${running.port}`]) {
      expect([origin, await ask({ origin })]).toEqual([origin, 403]);
    }
    expect(await ask({ "sec-fetch-site": "cross-site" })).toBe(403);
    // Another port of this computer is the same site, and gets the same cookies.
    expect(await ask({ "sec-fetch-site": "same-site" })).toBe(403);
    for (const [method, path] of [
      ["POST", "/page/api/chat"],
      ["PUT", "/page/api/requests/prompts"],
      ["PATCH", "/page/api/chats/abcdef"],
      ["DELETE", "/page/api/chats/abcdef"],
      ["POST", "/page/api/session"],
      ["POST", "/page/api/link"],
    ] as const) {
      const got = await send(path, { method, headers: { cookie: headers.cookie ?? "" }, body: {} });
      expect([method, path, got.status, codeOf(got)]).toEqual([method, path, 403, "origin_refused"]);
    }
    const preflight = await send("/page/api/chat", { method: "OPTIONS", headers: { origin: "http://evil.example" } });
    expect(preflight.headers["access-control-allow-origin"]).toBeUndefined();
    expect(preflight.status).toBe(403);
  });

  it("never shows a key: not the endpoint's, not the provider's", async () => {
    const headers = await begin();
    const texts = [running.stdout()];
    for (const path of [
      "/",
      "/page/api/state",
      "/page/api/chats",
      "/page/api/requests",
      "/page/api/network",
      "/page/api/usage",
    ]) {
      const got = await send(path, { headers });
      expect([path, got.status]).toEqual([path, 200]);
      texts.push(got.text, JSON.stringify(got.headers));
    }
    for (const text of texts) {
      expect(text).not.toContain(KEY);
      expect(text).not.toContain(sandbox.broker.keys.good);
    }
  });
});

describe("the files of the page", () => {
  it("come with a policy that lets nothing in from elsewhere, and no script but its own", async () => {
    const { status, headers, text } = await send("/");
    expect(status).toBe(200);
    const policy = String(headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'self' 'sha256-[\w+/=]{44}';/);
    for (const each of ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "trusted-types 'none'"]) {
      expect(policy).toContain(each);
    }
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
    });
    expect(text).toContain("<!doctype html>");
  });

  it("are sent again only when they have changed, and small", async () => {
    const zipped = await send("/", { headers: { "accept-encoding": "gzip, br" } });
    expect(["br", undefined]).toContain(zipped.headers["content-encoding"]);
    const etag = String(zipped.headers.etag);
    const unchanged = await send("/", { headers: { "if-none-match": etag } });
    expect([unchanged.status, unchanged.headers["content-length"]]).toEqual([304, undefined]);
    expect((await send("/", { headers: { "if-none-match": '"other"' } })).status).toBe(200);
  });

  it("end where their folder ends", async () => {
    for (const path of [
      "/page/../package.json",
      "/page/..%2fpackage.json",
      "/page/%2e%2e/package.json",
      "/page/lib/../../package.json",
      "/page//etc/passwd",
      "/page/.git",
      "/page/index.html%00.js",
      "/page/..\\package.json",
      "/page/nothing.js",
      "/page/",
      "/page/lib",
    ]) {
      const got = await send(path, { headers: await begin() });
      expect([path, got.status === 404 || got.status === 400]).toEqual([path, true]);
      expect(got.text).not.toContain('"zeph"');
    }
    expect((await send("/page/index.html", { method: "POST", headers: OWN })).status).toBe(405);
  });

  it("leave the endpoint's own paths alone", async () => {
    expect(JSON.parse((await send("/health")).text)).toEqual({ status: "ok" });
    expect((await send("/", { method: "POST" })).status).toBe(404);
    expect((await send("/v1/models")).status).toBe(401);
    expect((await send("/pages")).status).toBe(404);
  });
});

describe("the chat of the page", () => {
  it("streams, keeps, goes on, replaces, renames, exports and deletes", async () => {
    const headers = await begin();
    const say = async (body: object) => {
      const got = await send("/page/api/chat", { method: "POST", headers, body });
      expect(got.status).toBe(200);
      return eventsIn(got.text);
    };
    const text = (words: string) => ({ parts: [{ type: "text", text: words }] });
    const first = await say(text("Say hello"));
    expect(first[0]).toMatchObject({ type: "start", index: 0, title: "Say hello" });
    const conversationId = first[0]?.conversationId;
    const answer = first.filter(({ type }) => type === "text").map((event) => event.text);
    expect(answer.join("")).not.toBe("");
    expect(first.at(-1)).toMatchObject({
      type: "end",
      conversationId,
      provider: "box",
      model: CHAT,
      finishReason: "stop",
      costUsd: expect.any(Number),
      totalMs: expect.any(Number),
      usage: { inputTokens: expect.any(Number), outputTokens: expect.any(Number) },
    });
    await say({ ...text("And once more"), conversationId });
    const replaced = await say({ ...text("Rather this"), conversationId, replaceFrom: 1 });
    expect(replaced[0]).toMatchObject({ type: "start", conversationId, index: 1 });
    const kept = JSON.parse((await send(`/page/api/chats/${conversationId}`, { headers })).text);
    const questions = kept.exchanges.map(({ parts }: { parts: readonly { text: string }[] }) => parts[0]?.text);
    expect(questions).toEqual(["Say hello", "Rather this"]);
    expect(kept.exchanges[0]).toMatchObject({ answer: answer.join(""), model: CHAT, provider: "box" });
    // The same conversations as at the terminal.
    expect(await readdir(join(home, ".local/state/zeph/conversations"))).toContain(`${conversationId}.json`);

    const path = `/page/api/chats/${conversationId}`;
    expect((await send(path, { method: "PATCH", headers, body: { title: "Greetings" } })).status).toBe(200);
    const found = JSON.parse((await send("/page/api/chats?query=rather", { headers })).text).chats;
    expect(found).toMatchObject([{ id: conversationId, title: "Greetings", exchangeCount: 2 }]);
    const exported = await send(`${path}/export?format=markdown`, { headers });
    expect(exported.headers["content-disposition"]).toBe(`attachment; filename="zeph-chat-${conversationId}.md"`);
    expect(exported.text).toContain("# Greetings");
    expect(JSON.parse((await send(`${path}/export?format=json`, { headers })).text).exchanges).toHaveLength(2);
    expect((await send(path, { method: "DELETE", headers })).status).toBe(204);
    const gone = await send(path, { headers });
    expect([gone.status, JSON.parse(gone.text).error.message]).toEqual([
      400,
      expect.stringContaining("not there any more"),
    ]);
  });

  it("sends images as the model takes them, shows them again, and writes none to the disk", async () => {
    const headers = await begin();
    const image = { type: "image", dataUrl: "data:image/png;base64,iVBORw0KGgo=" };
    const parts = [{ type: "text", text: "What is this?" }, image];
    const got = await send("/page/api/chat", { method: "POST", headers, body: { parts } });
    const [start] = eventsIn(got.text);
    const sent = JSON.stringify(sandbox.broker.requests.at(-1)?.body);
    expect(sent).toContain('"image_url":{"url":"data:image/png;base64,iVBORw0KGgo="');
    const path = `/page/api/chats/${start?.conversationId}`;
    const kept = JSON.parse((await send(path, { headers })).text);
    expect(kept.exchanges[0].parts).toEqual([image, { type: "text", text: "What is this?" }]);
    const file = join(home, `.local/state/zeph/conversations/${start?.conversationId}.json`);
    expect(await readFile(file, "utf8")).not.toContain("iVBORw0KGgo");
  });

  it("keeps the question before it is answered, and what came when the page leaves", async () => {
    const headers = await begin();
    sandbox.broker.faults.next({ kind: "hang-mid-stream" });
    const leaving = new AbortController();
    const response = await fetch(`http://127.0.0.1:${running.port}/page/api/chat`, {
      method: "POST",
      headers,
      body: JSON.stringify({ parts: [{ type: "text", text: "A long story" }] }),
      signal: leaving.signal,
    });
    let text = "";
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!text.includes("event: text")) text += (await reader?.read())?.value ?? "";
    const conversationId = eventsIn(text)[0]?.conversationId;
    leaving.abort();
    const shown = async () => JSON.parse((await send(`/page/api/chats/${conversationId}`, { headers })).text);
    await until(async () => (await shown()).exchanges[0].answer !== "");
    expect((await shown()).exchanges).toMatchObject([{ parts: [{ text: "A long story" }], interrupted: "stopped" }]);
  });

  it("tells an error as the terminal does, and never loses a whole answer to one", async () => {
    const headers = await begin();
    const say = (body: object) => send("/page/api/chat", { method: "POST", headers, body });
    const parts = [{ type: "text", text: "Say hello" }];
    const whole = eventsIn((await say({ parts })).text);
    const conversationId = whole[0]?.conversationId;
    const failed = eventsIn((await say({ parts, conversationId, replaceFrom: 0, model: "no/such-model" })).text);
    expect(failed.at(-1)).toMatchObject({
      type: "error",
      partial: false,
      error: { code: "model_not_found", message: expect.any(String), hint: expect.any(String) },
    });
    const kept = JSON.parse((await send(`/page/api/chats/${conversationId}`, { headers })).text);
    expect(kept.exchanges).toMatchObject([{ model: CHAT }]);
    expect(kept.exchanges[0].interrupted).toBeUndefined();
    for (const body of [{}, { parts: [] }, { parts: [{ type: "image", dataUrl: "http://evil.example/x.png" }] }]) {
      const got = await say(body);
      expect([got.status, codeOf(got)]).toEqual([400, "invalid_request"]);
    }
    const nobody = await say({ parts, provider: "nobody" });
    expect([nobody.status >= 400, codeOf(nobody)]).toEqual([true, "provider_not_found"]);
  });
});

describe("the requests of the page", () => {
  const ask = (body: object, more: Readonly<Record<string, string>> = {}) =>
    send("/v1/chat/completions", {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "user-agent": "tester/1.2 (words)", ...more },
      body: { messages: HELLO, ...body },
    });
  const shown = async (headers: Readonly<Record<string, string>>) =>
    JSON.parse((await send("/page/api/requests", { headers })).text).requests;

  it("are told with who asked, what was changed and what it cost; their stories follow", async () => {
    const headers = await begin();
    expect((await ask({ tags: ["x"] })).status).toBe(200);
    const [latest] = await shown(headers);
    expect(latest).toMatchObject({
      client: expect.stringMatching(/^tester/),
      dialect: "chat",
      model: CHAT,
      provider: "box",
      status: 200,
      phase: "done",
      outputTokens: expect.any(Number),
      costUsd: expect.any(Number),
      changed: expect.arrayContaining(["removed tags"]),
    });
    const one = JSON.parse((await send(`/page/api/requests/${latest.id}`, { headers })).text);
    expect(one.request).toMatchObject({ id: latest.id });
    expect(one.story.map(({ title }: { title: string }) => title)).toContain("Changed on the way");
    expect(one.prompt).toBeUndefined();

    await ask({}, { authorization: "Bearer wrong-key" });
    const [refused] = await shown(headers);
    expect(refused).toMatchObject({ status: 401, error: { code: "local_key_refused" } });
    const why = JSON.parse((await send(`/page/api/requests/${refused.id}`, { headers })).text);
    expect(why.story).toContainEqual({ title: "What to do", text: expect.stringContaining("--show-key") });
  });

  it("keep no prompt, unless it is switched on, and forget it when it is switched off", async () => {
    const headers = await begin();
    const keep = (value: boolean) =>
      send("/page/api/requests/prompts", { method: "PUT", headers, body: { keep: value } });
    const promptOf = async () => {
      const [{ id }] = await shown(headers);
      return JSON.parse((await send(`/page/api/requests/${id}`, { headers })).text).prompt;
    };
    await ask({ messages: [{ role: "user", content: "not to be kept" }] });
    expect(await promptOf()).toBeUndefined();
    await keep(true);
    await ask({ messages: [{ role: "user", content: `kept, but not ${KEY}` }] });
    expect(await promptOf()).toContain("kept, but not [redacted]");
    await keep(false);
    expect(await promptOf()).toBeUndefined();
  });

  it("are told live", async () => {
    const headers = await begin();
    const leaving = new AbortController();
    const response = await fetch(`http://127.0.0.1:${running.port}/page/api/requests/live`, {
      headers,
      signal: leaving.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader?.read())?.value ?? "";
    await ask({});
    while (!text.includes('"phase":"done"')) text += (await reader?.read())?.value ?? "";
    expect(eventsIn(text).at(-1)).toMatchObject({ type: "request", dialect: "chat", status: 200, phase: "done" });
    leaving.abort();
  });
});

describe("the comparison of the page", () => {
  it("asks the same of two, and tells how each did", async () => {
    const headers = await begin();
    const entries = [
      { provider: "box", model: CHAT },
      { provider: "box", model: "no/such-model" },
    ];
    const got = await send("/page/api/compare", { method: "POST", headers, body: { question: "Hello?", entries } });
    const events = eventsIn(got.text);
    expect(events.find(({ type }) => type === "end")).toMatchObject({
      index: 0,
      outputTokens: expect.any(Number),
      costUsd: expect.any(Number),
      toolCall: expect.stringMatching(/^(?:yes|no)$/),
      jsonMode: expect.stringMatching(/^(?:yes|no)$/),
    });
    expect(events.find(({ type }) => type === "error")).toMatchObject({ index: 1, error: { code: "model_not_found" } });
    expect(events.at(-1)).toEqual({ type: "done" });
  });
});

describe("zeph open", () => {
  const folder = () => join(home, ".local/state/zeph/page");

  it("gets a link from the run, through a private file, and hands the browser no token on a command line", async () => {
    const file = join(folder(), `${running.port}.json`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const cli = testCli({ homeDir: home });
    const opened: string[] = [];
    const openFile = async (path: string) => {
      opened.push(path);
      return true;
    };
    await runOpen({ ...contextOf(cli, new AbortController().signal), openFile }, {});
    const [path = ""] = opened;
    expect(path).not.toContain("token");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const [, token] = /#token=([\w-]{43})/.exec(await readFile(path, "utf8")) ?? [];
    const got = await send("/page/api/session", { method: "POST", headers: OWN, body: { token } });
    expect(got.status).toBe(204);
  });

  it("gets nothing without the key of the run, and nothing twice for one proof", async () => {
    const ask = (body: object) => send("/page/api/link", { method: "POST", headers: OWN, body });
    for (const body of [{}, { nonce: "x", proof: "y" }, { nonce: "A".repeat(32), proof: "B".repeat(43) }]) {
      const got = await ask(body);
      expect([got.status, got.text.includes("token")]).toEqual([401, false]);
    }
    const { linkProof } = await import("../../src/gateway/page/session.ts");
    const { key } = JSON.parse(await readFile(join(folder(), `${running.port}.json`), "utf8"));
    const nonce = "N".repeat(32);
    const proven = { nonce, proof: linkProof(key, "ask", nonce) };
    expect((await ask(proven)).status).toBe(200);
    expect((await ask(proven)).status).toBe(401);
  });

  it("passes over files of ended runs, of strangers, and a program that has taken the port", async () => {
    const own = await mkdtemp(join(tmpdir(), "zeph-open-"));
    const there = join(own, ".local/state/zeph/page");
    await mkdir(there, { recursive: true });
    let heard = "";
    const stranger = createServer((incoming, outgoing) => {
      incoming.on("data", (piece: Buffer) => {
        heard += piece.toString();
      });
      incoming.on("end", () => outgoing.end(JSON.stringify({ token: "T".repeat(43), proof: "P".repeat(43) })));
    });
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    const { port } = stranger.address() as AddressInfo;
    const key = "K".repeat(43);
    const write = (name: string, value: unknown) => writeFile(join(there, name), JSON.stringify(value));
    await write(`${port}.json`, { host: "127.0.0.1", port, key });
    await write("1.json", { host: "127.0.0.1", port: 1, key });
    await write("2.json", { host: "evil.example", port: 2, key });
    await write("3.json", "nonsense");
    const cli = testCli({ homeDir: own });
    const context = contextOf(cli, new AbortController().signal);
    await expect(runOpen(context, { print: true })).rejects.toMatchObject({ code: "page_not_running" });
    expect(heard).toContain("proof");
    expect(heard).not.toContain(key);
    // What was ours and has ended is forgotten; what is not ours stays.
    expect((await readdir(there)).sort()).toEqual(["2.json", "3.json"]);
    stranger.close();
    await rm(own, { recursive: true });
  });

  it("finds nothing once the run has ended, and nothing where there is no page", async () => {
    const own = await mkdtemp(join(tmpdir(), "zeph-end-"));
    await mkdir(join(own, ".config/zeph"), { recursive: true });
    await writeFile(join(own, ".config/zeph/config.toml"), await readFile(join(home, ".config/zeph/config.toml")));
    const there = join(own, ".local/state/zeph/page");
    const without = await serve({ page: false }, own);
    expect(without.token).toBeUndefined();
    for (const path of ["/", "/page/api/state", "/page/index.html"]) {
      expect([path, (await send(path, { port: without.port })).status]).toEqual([path, 404]);
    }
    await without.stop();
    const withPage = await serve({ host: "0.0.0.0" }, own);
    expect(await readdir(there)).toEqual([`${withPage.port}.json`]);
    expect(withPage.stdout()).toContain(`http://127.0.0.1:${withPage.port}/#token=`);
    const asked = { port: withPage.port, headers: { host: "192.168.1.7" } };
    expect((await send("/", asked)).status).toBe(403);
    await withPage.stop();
    expect(await readdir(there)).toEqual([]);
    await rm(own, { recursive: true });
  });
});

describe("the use of the page", () => {
  it("is that of the ledger, in steps without holes, split as asked, and as CSV", async () => {
    const headers = await begin();
    const read = async (query: string) => {
      const got = await send(`/page/api/usage?${query}`, { headers });
      expect([query, got.status]).toEqual([query, 200]);
      return JSON.parse(got.text);
    };
    await send("/v1/chat/completions", {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "user-agent": "accountant/3.1" },
      body: { messages: HELLO },
    });
    const days = await read("by=day&steps=7&split=none");
    expect(days.starts).toHaveLength(7);
    const [today] = days.buckets.slice(-1);
    expect(days.starts).toContain(today.start);
    expect(today).toMatchObject({ key: "", requests: expect.any(Number) });
    expect(today.usd).toBeGreaterThan(0);
    const clients = await read("by=hour&steps=24&split=client");
    expect(clients.totals).toContainEqual(expect.objectContaining({ key: "accountant", requests: 1, errors: 0 }));
    expect(clients.totals.map(({ key }: { key: string }) => key)).toContain("zeph page");
    const csv = await send("/page/api/usage.csv?by=day&steps=7&split=client", { headers });
    expect(csv.headers["content-disposition"]).toBe('attachment; filename="zeph-use-by-day.csv"');
    expect(csv.text).toMatch(/^day,.*client/);
    expect(csv.text).toContain("accountant");
    for (const query of ["by=week", "steps=0", "steps=100000", "split=key"]) {
      expect([query, (await send(`/page/api/usage?${query}`, { headers })).status]).toEqual([query, 400]);
    }
  });
});

describe("zeph compare", () => {
  const compareWith = async (flags: Flags<"compare">, json = false) => {
    const env = { ZEPH_COMPATIBLE_BOX_API_KEY: sandbox.broker.keys.good };
    const cli = testCli({ homeDir: home, env, json, paths: { vaultBackend: "env" } });
    const exitCode = await runCompare(contextOf(cli, new AbortController().signal), flags);
    return { ...cli, exitCode };
  };

  it("asks the same of several, by model and by PROVIDER/MODEL, and shows a table", async () => {
    const cli = await compareWith({ question: "Say hello", targets: [`box/${CHAT}`], model: [CHAT], answers: true });
    expect(cli.exitCode).toBe(0);
    const [head = "", ...rows] = cli.stdout().trimEnd().split("\n");
    expect(head).toMatch(/first word +tokens\/s +tokens +time +cost +tools +JSON/);
    expect(rows.filter((row) => row.startsWith(`box/${CHAT} `))).toHaveLength(2);
    expect(cli.stdout().toLowerCase()).toContain("hello");
    expect(cli.stderr()).toContain(`box/${CHAT} began after`);
  });

  it("tells of one that failed, and all of it as data", async () => {
    const cli = await compareWith({ question: "Say hello", model: [CHAT, "no/such-model"] }, true);
    const { results } = JSON.parse(cli.stdout()).data;
    expect(results).toMatchObject([
      { provider: "box", model: CHAT, toolCall: "yes", jsonMode: "yes", costUsd: expect.any(Number) },
      { provider: "box", model: "no/such-model", error: { code: "model_not_found" } },
    ]);
    expect(cli.exitCode).toBe(0);
  });

  it("needs two or three", async () => {
    for (const model of [[], ["a"], ["a", "b", "c", "d"]]) {
      await expect(compareWith({ question: "Hello?", model })).rejects.toMatchObject({ code: "usage" });
    }
  });
});

describe("with keep_conversations = false", () => {
  it("the page remembers what was said, and the disk does not", async () => {
    const own = await mkdtemp(join(tmpdir(), "zeph-unkept-"));
    await mkdir(join(own, ".config/zeph"), { recursive: true });
    const record = await readFile(join(home, ".config/zeph/config.toml"), "utf8");
    await writeFile(join(own, ".config/zeph/config.toml"), `${record}\n[session]\nkeep_conversations = false\n`);
    const unkept = await serve({}, own);
    const { port } = unkept;
    const session = await send("/page/api/session", {
      port,
      method: "POST",
      headers: OWN,
      body: { token: unkept.token },
    });
    const headers = { ...OWN, cookie: String(session.headers["set-cookie"]).split(";")[0] ?? "" };
    const body = { parts: [{ type: "text", text: "Just between us" }] };
    const events = eventsIn((await send("/page/api/chat", { port, method: "POST", headers, body })).text);
    expect(events.at(-1)).toMatchObject({ type: "end" });
    const path = `/page/api/chats/${events[0]?.conversationId}`;
    const kept = JSON.parse((await send(path, { port, headers })).text);
    expect(kept).toMatchObject({ title: "Just between us", exchangeCount: 1 });
    const found = JSON.parse((await send("/page/api/chats?query=between", { port, headers })).text).chats;
    expect(found).toMatchObject([{ title: "Just between us" }]);
    const onDisk = await readdir(join(own, ".local/state/zeph"), { recursive: true });
    expect(onDisk.filter((name) => name.includes("conversations"))).toEqual([]);
    expect((await send(path, { port, method: "DELETE", headers })).status).toBe(204);
    expect((await send(path, { port, headers })).status).toBe(400);
    await unkept.stop();
    await rm(own, { recursive: true });
  });
});
