import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { VERSION } from "../src/version.ts";

interface Names {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

/**
 * Everything other programs can import, by subpath. Taking a name away or renaming it breaks them: change this list in
 * the same commit as the code, with a line in CHANGELOG.md.
 */
const PUBLIC: Readonly<Record<string, Names>> = {
  zeph: {
    values: [
      "EXIT",
      "EndpointPool",
      "RequestSigner",
      "Secret",
      "VERSION",
      "ZephError",
      "discoverEndpoints",
      "endpointSource",
      "gonkaFetch",
      "listModels",
      "normalizeBaseURL",
      "verifyParticipants",
    ],
    types: [
      "AttemptRecord",
      "BrokerConnection",
      "CachedEndpoints",
      "Charged",
      "Clock",
      "Connection",
      "ConnectionOptions",
      "Deadlines",
      "DevshardConnection",
      "DiscoverOptions",
      "Discovery",
      "Endpoint",
      "EndpointCache",
      "EndpointPoolOptions",
      "EndpointSourceOptions",
      "EndpointStatus",
      "ExcludedParticipant",
      "FetchFunction",
      "GonkaFetch",
      "Model",
      "NativeConnection",
      "NativeConnectionOptions",
      "NodeAddress",
      "Nodes",
      "OnTransportEvent",
      "Participant",
      "ParticipantsTrust",
      "ProofEvidence",
      "ProofLabel",
      "SignedPower",
      "SignerChoice",
      "TransportEvent",
      "Trust",
      "VerifiedParticipants",
      "VerifyParticipantsInput",
      "ZephErrorCode",
      "ZephErrorOptions",
    ],
  },
  "zeph/ai-sdk": {
    values: ["VERSION", "createGonka", "gonka", "toZephError"],
    types: [
      "GonkaBrokerSettings",
      "GonkaChatModelId",
      "GonkaConnectionSettings",
      "GonkaLanguageModelOptions",
      "GonkaNativeSettings",
      "GonkaProvider",
      "GonkaProviderSettings",
    ],
  },
  "zeph/gateway": {
    values: ["DEFAULT_PORT", "Secret", "ZephError", "listen", "localGateway"],
    types: [
      "AskedUpstream",
      "ExchangeRecord",
      "KeptText",
      "KeptTexts",
      "ListenOptions",
      "Listening",
      "LocalGateway",
      "LocalGatewayOptions",
      "Usage",
    ],
  },
  "zeph/openai": {
    values: ["connectionFromEnvironment", "gonkaOpenAIOptions"],
    types: ["Environment", "GonkaOpenAIOptions"],
  },
  "zeph/signer": {
    values: [
      "DEFAULT_PREFIX",
      "RequestSigner",
      "ZephError",
      "parseAddress",
      "parsePrefix",
      "parsePrivateKey",
      "toAddress",
      "verifySignature",
    ],
    types: ["AddressOptions", "SignRequest", "SignatureToVerify", "SignatureVerdict", "SignerOptions"],
  },
  "zeph/testing": {
    values: ["builtInEngine", "manualClock", "startSandbox"],
    types: [
      "AccountOptions",
      "BrokerOptions",
      "BuiltInEngineOptions",
      "ChainFault",
      "ChainStandIn",
      "ChatMessage",
      "ChatRequest",
      "ChatTool",
      "Clock",
      "DevshardNetwork",
      "DevshardOptions",
      "DevshardRequest",
      "DevshardUser",
      "Engine",
      "EngineEvent",
      "EngineUsage",
      "Fault",
      "FaultControl",
      "FaultKind",
      "FaultSwitch",
      "HostFaults",
      "InferenceState",
      "KeyKind",
      "KeyState",
      "Ledger",
      "LedgerEntry",
      "ManualClock",
      "NetworkOptions",
      "NetworkState",
      "NodeFault",
      "NodeFaultKind",
      "NodeFaultPlan",
      "ParticipantInput",
      "ReasoningForm",
      "RecordedRequest",
      "RequestRecord",
      "RunningHost",
      "Sandbox",
      "SandboxAccount",
      "SandboxBroker",
      "SandboxKeys",
      "SandboxModel",
      "SandboxNetwork",
      "SandboxNode",
      "SandboxOptions",
      "SandboxWithDevshard",
      "SandboxWithNetwork",
      "UsagePlacement",
    ],
  },
  "zeph/vault": {
    values: [
      "Secret",
      "Vault",
      "ZephError",
      "checkVault",
      "existingVaultFiles",
      "listBackups",
      "listVaultBackups",
      "restoreVault",
      "tidyVault",
      "vaultPaths",
    ],
    types: [
      "AskPassphrase",
      "CheckVaultOptions",
      "ListVaultBackupsOptions",
      "RestoreVaultOptions",
      "RestoredVault",
      "VaultBackup",
      "VaultBackups",
      "VaultChange",
      "VaultFinding",
      "VaultInitOptions",
      "VaultOpenOptions",
      "VaultPaths",
      "VaultPathsOptions",
      "VaultProtectOptions",
      "VaultReport",
      "VaultSetOptions",
    ],
  },
};

const source = (subpath: string) => {
  const target = manifest.exports[subpath as "."];
  return readFileSync(
    new URL(`../${target.default.replace("./dist/", "src/").replace(/\.js$/, ".ts")}`, import.meta.url),
    "utf8",
  );
};

/** What an entry file names. Entry files hold nothing but `export { … } from`. */
function namesIn(code: string): Names {
  const values: string[] = [];
  const types: string[] = [];
  for (const [, isType, list = ""] of code.matchAll(/^export (type )?\{([^}]*)\} from "[^"]+";$/gm)) {
    for (const item of list.split(",").map((each) => each.trim())) {
      if (item === "") continue;
      (isType !== undefined || item.startsWith("type ") ? types : values).push(item.replace(/^type /, ""));
    }
  }
  return { values: values.sort(), types: types.sort() };
}

const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");

describe("what other programs can import", () => {
  it("is these subpaths", () => {
    expect(subpaths.map((subpath) => subpath.replace(/^\./, "zeph")).sort()).toEqual(Object.keys(PUBLIC).sort());
  });

  it.each(subpaths)("is these names: %s", async (subpath) => {
    const code = source(subpath);
    const recorded = PUBLIC[subpath.replace(/^\./, "zeph")];
    expect(namesIn(code)).toEqual(recorded);
    // By the text nothing else is exported; by the module the values are really there.
    expect(code.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^export (?:type )?\{[^}]*\} from "[^"]+";$/gm, "")).toMatch(
      /^\s*$/,
    );
    const target = manifest.exports[subpath as "."].default.replace("./dist/", "../src/").replace(/\.js$/, ".ts");
    expect(Object.keys(await import(target)).sort()).toEqual(recorded?.values);
  });

  it("says in every entry file where it came from: there is no `export *`", () => {
    expect(subpaths.filter((subpath) => /export\s*\*/.test(source(subpath)))).toEqual([]);
  });

  it("makes AI SDK providers in one place only", () => {
    const makers = (subpath: string) => PUBLIC[subpath]?.values.filter((name) => name.startsWith("create"));
    expect(makers("zeph")).toEqual([]);
    expect(makers("zeph/ai-sdk")).toEqual(["createGonka"]);
  });

  it("tells its version", () => {
    expect(VERSION).toBe(manifest.version);
  });
});
