import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { selfSignedCertificate } from "../../src/sandbox/crypto.ts";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";

const ANSWER = JSON.stringify({
  id: "c1",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }],
});
const DEAD = "127.0.0.1:9";

let sources: CompiledSources;
let folder: string;
let ca: string;
let proxy: Server;
let api: Server;
let plain: Server;
/** What the proxy says to CONNECT; 200 opens the tunnel. */
let tunnelStatus = 200;
let tunnels: { readonly to: string; readonly authorization: string | undefined }[] = [];

const portOf = (server: Server) => (server.address() as AddressInfo).port;
const listening = (server: Server) =>
  new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });

/** An HTTP proxy of its own: counts tunnels, and refuses them when told to. */
function newProxy(): Server {
  const server = createServer((_request, response) => response.writeHead(400).end());
  server.on("connect", (request, socket) => {
    tunnels.push({ to: request.url ?? "", authorization: request.headers["proxy-authorization"] });
    socket.on("error", () => {});
    if (tunnelStatus !== 200) return socket.end(`HTTP/1.1 ${tunnelStatus} No\r\ncontent-length: 0\r\n\r\n`);
    const [host = "", port] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
  });
  return server;
}

beforeAll(async () => {
  sources = await compileSources(["cli/main.ts"]);
  folder = await mkdtemp(join(tmpdir(), "zeph-between-"));
  const { keyPem, certificatePem } = selfSignedCertificate();
  ca = join(folder, "ca.pem");
  await writeFile(ca, certificatePem);
  const answer: Parameters<typeof createServer>[1] = (request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(request.url?.endsWith("/models") ? '{"object":"list","data":[{"id":"m","object":"model"}]}' : ANSWER);
  };
  proxy = newProxy();
  api = createTlsServer({ key: keyPem, cert: certificatePem }, answer) as unknown as Server;
  plain = createServer(answer);
  await Promise.all([proxy, api, plain].map(listening));
}, 60_000);

afterAll(async () => {
  for (const server of [proxy, api, plain]) {
    server.closeAllConnections();
    server.close();
  }
  await sources.remove();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  tunnels = [];
  tunnelStatus = 200;
});

async function zeph(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  baseURL = `https://127.0.0.1:${portOf(api)}/v1`,
) {
  const config = join(folder, "config.toml");
  await writeFile(
    config,
    `[[llm.providers]]\ntype = "compatible"\nname = "up"\nbase_url = "${baseURL}"\nmodel = "m"\n`,
  );
  const child = spawn(process.execPath, [join(sources.folder, "cli/main.js"), "--config", config, ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: folder, ZEPH_COMPATIBLE_UP_API_KEY: "sk-test-0123456789abcdef", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (text) => (stdout += String(text)));
  child.stderr?.on("data", (text) => (stderr += String(text)));
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  expect(stderr).not.toMatch(/^\s+at /m);
  // The doctor folds its lines.
  return { exitCode, stdout, stderr, words: (stdout + stderr).replace(/\s+/g, " ") };
}

const ask = (env: Readonly<Record<string, string>>, baseURL?: string) =>
  zeph(["ask", "--no-stream", "hi"], { NODE_EXTRA_CA_CERTS: ca, ...env }, baseURL);

describe("a proxy variable", () => {
  it.each([["--version"], ["--help"], ["providers"], ["config", "path"], ["explain", "unreachable"]])(
    "that is no address breaks no command that needs no network: %s",
    async (...argv) => {
      for (const HTTPS_PROXY of ["127.0.0.1:port", "http://", "ftp://proxy:21"]) {
        expect(await zeph(argv, { HTTPS_PROXY, HTTP_PROXY: HTTPS_PROXY })).toMatchObject({ exitCode: 0 });
      }
    },
  );

  it("that is no address is named by what needs it", async () => {
    const { exitCode, stderr } = await ask({ HTTPS_PROXY: "http://" });
    expect(exitCode).toBe(17);
    expect(stderr).toContain("HTTPS_PROXY");
    expect(stderr).toContain("unset HTTPS_PROXY");
    const doctor = await zeph(["doctor"], { HTTPS_PROXY: "http://" });
    expect(doctor.words).toContain("unset HTTPS_PROXY");
  });

  it("goes through the proxy, with and without a scheme, behind an empty one, and as ALL_PROXY", async () => {
    const address = `127.0.0.1:${portOf(proxy)}`;
    const ways: Record<string, string>[] = [
      { HTTPS_PROXY: `http://${address}` },
      { HTTPS_PROXY: address },
      { https_proxy: "", HTTPS_PROXY: `http://${address}` },
      { ALL_PROXY: `http://${address}` },
    ];
    for (const env of ways) {
      tunnels = [];
      expect(await ask(env)).toMatchObject({ exitCode: 0, stdout: "Hello\n" });
      expect(tunnels.map(({ to }) => to)).toContain(`127.0.0.1:${portOf(api)}`);
    }
  });

  it("gives the proxy name and password, and nobody else", async () => {
    await ask({ HTTPS_PROXY: `http://ann:s3cretword@127.0.0.1:${portOf(proxy)}` });
    expect(tunnels[0]?.authorization).toBe(`Basic ${Buffer.from("ann:s3cretword").toString("base64")}`);
  });

  it("is passed over for what NO_PROXY names", async () => {
    expect(await ask({ HTTPS_PROXY: `http://${DEAD}`, NO_PROXY: "127.0.0.1,localhost" })).toMatchObject({
      exitCode: 0,
    });
    expect(tunnels).toEqual([]);
  });

  it("where nothing listens is named, with the way round it, by ask and doctor alike", async () => {
    const env = { HTTPS_PROXY: `http://ann:s3cretword@${DEAD}` };
    const asked = await ask(env);
    const looked = await zeph(["doctor"], { NODE_EXTRA_CA_CERTS: ca, ...env });
    expect(asked.exitCode).toBe(10);
    for (const { words } of [asked, looked]) {
      expect(words).toContain(`the proxy ${DEAD} (HTTPS_PROXY): connection refused`);
      expect(words).toContain("NO_PROXY=127.0.0.1,localhost");
      expect(words).not.toContain("s3cretword");
    }
  });

  it.each([
    [407, "NAME:PASSWORD@"],
    [403, "answered 403"],
    [502, "answered 502"],
  ])("whose proxy answers %s says so", async (status, words) => {
    tunnelStatus = status;
    const { exitCode, stderr } = await ask({ HTTPS_PROXY: `127.0.0.1:${portOf(proxy)}` });
    expect(exitCode).toBe(10);
    expect(stderr).toContain(words);
    expect(stderr).toContain("HTTPS_PROXY");
  });
});

describe("TLS", () => {
  it("of an authority that Node does not know names NODE_EXTRA_CA_CERTS, by ask and doctor alike", async () => {
    const none = { NODE_EXTRA_CA_CERTS: "" };
    for (const { words } of [await ask(none), await zeph(["doctor"], none)]) {
      expect(words).toContain("certificate");
      expect(words).toContain("NODE_EXTRA_CA_CERTS=/path/to/ca.pem");
    }
  });

  it("on a port without TLS says so, by ask and doctor alike", async () => {
    const baseURL = `https://127.0.0.1:${portOf(plain)}/v1`;
    for (const { words } of [await ask({}, baseURL), await zeph(["doctor"], {}, baseURL)]) {
      expect(words).toContain("this port does not speak TLS");
      expect(words).toContain("http:// instead of https://");
    }
  });
});
