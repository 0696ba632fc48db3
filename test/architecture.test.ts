import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const SRC = fileURLToPath(new URL("../src", import.meta.url));

/** Who may import whom (ARCHITECTURE.md). A folder may always import itself, `errors`, `internal` and `version.ts`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  internal: [],
  protocol: [],
  signer: ["protocol"],
  wire: ["protocol", "signer"],
  vault: [],
  brokers: [],
  config: [],
  transport: ["protocol", "signer", "network"],
  network: ["protocol", "signer", "client", "transport"],
  client: ["transport", "network", "protocol", "signer", "brokers"],
  "ai-sdk": ["client"],
  openai: ["client"],
  provider: ["client", "config", "vault", "brokers", "signer"],
  journal: [],
  chat: ["client", "ai-sdk", "provider", "journal"],
  init: ["provider", "client", "config", "vault", "brokers", "ai-sdk", "signer"],
  doctor: ["provider", "client", "config", "vault", "brokers", "ai-sdk", "signer", "journal"],
  gateway: ["provider", "client", "config", "brokers"],
  sandbox: [],
  cli: ["*"],
  "index.ts": ["client", "transport", "protocol", "signer"],
};

/** Types and pure facts of the protocol that every layer above it may name. */
const SHARED_PROTOCOL = ["errors", "internal", "version.ts"];
const ABOVE_PROTOCOL = ["provider", "chat", "init", "doctor", "gateway", "sandbox", "ai-sdk", "openai", "cli"];

/** Each third-party module has one home. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  "@noble/": ["signer", "protocol"],
  "@scure/base": ["signer", "protocol", "vault"],
  "tiny-secp256k1": ["signer"],
  "age-encryption": ["vault"],
  hono: ["gateway", "sandbox"],
  "@hono/": ["gateway", "sandbox"],
  "@clack/": ["init", "cli"],
  commander: ["cli"],
  ai: ["chat", "init"],
  "@ai-sdk/": ["ai-sdk", "chat"],
  "smol-toml": ["config"],
  "@decimalturn/": ["config"],
  marked: ["chat", "cli"],
  "jsonc-parser": ["cli"],
  yaml: ["cli"],
  zod: ["config", "protocol", "ai-sdk", "sandbox", "gateway", "cli"],
  "eventsource-parser": ["sandbox", "ai-sdk", "gateway"],
  undici: ["cli"],
};

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sourceFiles(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
    (file) =>
      file.endsWith(".ts") && !/\.(?:test|test-d|prop\.test|bench)\.ts$/.test(file) && !file.includes("test-support"),
  );
}

/** Code without comments and without the contents of template literals, where words like "import" mean nothing. */
function code(file: string): string {
  return readFileSync(join(SRC, file), "utf8")
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
}

const files = sourceFiles();
const imports: readonly Import[] = files.flatMap((file) =>
  [...code(file).matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)"([^"\s,]+)"/g)].map((match) => ({
    file,
    specifier: match[1] ?? "",
  })),
);

function area(file: string): string {
  return file.split("/")[0] ?? file;
}

function target({ file, specifier }: Import): string {
  return relative(SRC, resolve(SRC, dirname(file), specifier));
}

describe("the layers", () => {
  const own = imports.filter(({ specifier }) => specifier.startsWith("."));

  it("are kept: nothing imports back or sideways", () => {
    const violations = own
      .map((each) => ({ ...each, from: area(each.file), to: area(target(each)) }))
      .filter(({ from, to }) => {
        const allowed = MAY_IMPORT[from];
        if (allowed === undefined) return true;
        if (from === to || allowed.includes("*") || allowed.includes(to) || SHARED_PROTOCOL.includes(to)) return false;
        if (to === "network") return !["client", "transport", ...ABOVE_PROTOCOL].includes(from);
        if (to === "wire") return !["transport", "network", "client", ...ABOVE_PROTOCOL].includes(from);
        return !(to === "protocol" && ABOVE_PROTOCOL.includes(from)) && !(to === "transport" && isTypeOnly(from, to));
      })
      .map(({ file, from, to, specifier }) => `${file} imports ${specifier}: ${from} may not import ${to}`);
    expect(violations).toEqual([]);
  });

  it("have no cycles between files", () => {
    const edges = new Map<string, string[]>();
    for (const each of own) edges.set(each.file, [...(edges.get(each.file) ?? []), target(each)]);
    const state = new Map<string, "open" | "closed">();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === "closed") return;
      if (state.get(file) === "open") {
        cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
        return;
      }
      state.set(file, "open");
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      state.set(file, "closed");
    };
    for (const file of edges.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it("keep every third-party module at home", () => {
    const homeless = imports
      .filter(({ specifier }) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter(({ file, specifier }) => {
        const home = Object.entries(HOMES).find(
          ([name]) => specifier === name || specifier.startsWith(name.endsWith("/") ? name : `${name}/`),
        );
        return home === undefined || !home[1].includes(area(file));
      })
      .map(({ file, specifier }) => `${file} imports ${specifier}`);
    expect(homeless).toEqual([]);
  });
});

/** Above the client, the transport is known by the shapes it gives: its fetch, its events. */
function isTypeOnly(from: string, to: string): boolean {
  return (
    to === "transport" &&
    ["provider", "journal", "chat", "init", "doctor", "gateway", "ai-sdk", "openai", "sandbox"].includes(from)
  );
}

describe("the outside world", () => {
  const GLOBALS: readonly (readonly [RegExp, string, readonly RegExp[]])[] = [
    [
      /\bprocess\.(?!env\b\?)/,
      "process",
      [/^cli\/(?:main|system-world|launch\/run-agent)\.ts$/, /^sandbox\//, /^internal\/lock-file\.ts$/],
    ],
    [/\bconsole\.(?:log|error|warn|info|debug)\(/, "console", []],
    [/\bDate\.now\(/, "Date.now", [/^internal\/clock\.ts$/]],
    [
      /\bMath\.random\b/,
      "Math.random",
      [/^internal\/clock\.ts$/, /^client\//, /^cli\/system-world\.ts$/, /^transport\//],
    ],
    [/(?<![.\w])(?:setTimeout|setInterval)\(/, "timers", [/^internal\/clock\.ts$/, /^sandbox\//]],
    [/globalThis\.fetch\(/, "globalThis.fetch", [/^client\//, /^cli\/system-world\.ts$/, /^sandbox\//]],
  ];
  it.each(GLOBALS.map(([pattern, name, homes]) => ({ pattern, name, homes })))(
    "is touched by few: $name",
    ({ pattern, homes }) => {
      const strangers = files.filter((file) => pattern.test(code(file)) && !homes.some((home) => home.test(file)));
      expect(strangers).toEqual([]);
    },
  );
});

describe("the words", () => {
  it("has no drawer for everything", () => {
    expect(files.filter((file) => /(?:^|\/)(?:utils?|helpers?|managers?|common|misc)(?:\/|\.ts$)/.test(file))).toEqual(
      [],
    );
  });

  it("names no live host of the network in code that could send to it", () => {
    const named = files.filter((file) => /gonka1[0-9a-z]{38}|node\d\.gonka\.ai/.test(code(file)));
    // The wizard can ask a main-net node for its version, to say that it takes no signed requests. It sends it no prompt.
    const allowed = ["init/main-network.ts"];
    expect(named.filter((file) => !file.startsWith("sandbox/") && !allowed.includes(file))).toEqual([]);
  });
});
