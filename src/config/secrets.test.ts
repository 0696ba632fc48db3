import { describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import {
  apiKeyNames,
  decideVaultBackend,
  findSecret,
  nativeSecretNames,
  resolveSecret,
  secretNameFor,
} from "./secrets.ts";

const NAME = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY";
const names = apiKeyNames("gonkagate");

function lookup(more: {
  vault?: Record<string, string>;
  env?: Record<string, string>;
  backend?: "age" | "env";
  inline?: Secret;
}) {
  return {
    backend: more.backend ?? ("age" as const),
    env: more.env ?? {},
    inline: more.inline,
    purpose: 'provider "gonkagate"',
    vaultGet: async (name: string) => {
      if (more.backend === "env") throw new Error("the vault must not be asked");
      if (more.vault === undefined) throw new ZephError("vault_not_found");
      return more.vault[name];
    },
  };
}

describe("decideVaultBackend (B35)", () => {
  const none = { env: {}, vaultFilesExist: false };
  it.each([
    [
      "the flag",
      { ...none, flag: "env", env: { ZEPH_VAULT_BACKEND: "age" }, configured: "age" },
      "env",
      "flag --vault",
    ],
    [
      "the variable",
      { ...none, env: { ZEPH_VAULT_BACKEND: "age" }, configured: "env" },
      "age",
      "env ZEPH_VAULT_BACKEND",
    ],
    ["the config", { ...none, configured: "env", vaultFilesExist: true }, "env", "[vault] backend"],
    ["the files", { ...none, vaultFilesExist: true }, "age", "vault files"],
    ["nothing", none, "env", "default"],
    ["an empty variable as nothing", { ...none, env: { ZEPH_VAULT_BACKEND: " " } }, "env", "default"],
  ] as const)("goes by %s", (_what, given, backend, origin) => {
    const decision = decideVaultBackend(given);
    expect(decision).toMatchObject({ backend, origin });
    expect(decision.notice !== undefined).toBe(origin === "default");
  });

  it.each(["keychain", "keyring", "ages"])("refuses %s and says where it came from", (name) => {
    expect(() => decideVaultBackend({ ...none, configured: name })).toThrow(
      expect.objectContaining({ code: "vault_backend_unknown", detail: expect.stringContaining("[vault] backend") }),
    );
  });
});

describe("a vault of which one file is missing", () => {
  it("is not called absent: the secret may well be in it", async () => {
    const decision = decideVaultBackend({ env: {}, vaultFilesExist: false, vaultIsHalf: true });
    expect(decision).toMatchObject({ backend: "env", notice: expect.stringContaining("zeph vault check") });
    const half = { ...lookup({ backend: "env" }), vaultIsHalf: true };
    await expect(resolveSecret(names, half)).rejects.toMatchObject({
      code: "secret_missing",
      detail: expect.stringContaining("one of the two vault files is missing"),
      hint: expect.stringContaining("zeph vault check"),
    });
  });
});

describe("resolveSecret (B35)", () => {
  it("takes what is stored and mentions the variable it did not use", async () => {
    const found = await resolveSecret(
      names,
      lookup({ vault: { [NAME]: "stored" }, env: { GONKAGATE_API_KEY: "other" } }),
    );
    expect(found).toMatchObject({ name: NAME, source: "vault", notice: expect.stringContaining("GONKAGATE_API_KEY") });
    expect(found.secret.reveal()).toBe("stored");
    expect(found.notice).not.toMatch(/stored|other/);
  });

  it("reads the older spelling from the vault", async () => {
    const vault = { "ZEPH_COMPATIBLE_GONKA-BROKER_API_KEY": "old" };
    const found = await resolveSecret(apiKeyNames("gonka-broker"), lookup({ vault }));
    expect(found).toMatchObject({ name: "ZEPH_COMPATIBLE_GONKA-BROKER_API_KEY", source: "vault" });
  });

  it.each([
    ["has no such name", {}],
    ["has it empty", { [NAME]: "" }],
    ["does not exist", undefined],
  ])("takes a variable with a notice when the vault %s", async (_what, vault) => {
    const options = { env: { GONKAGATE_API_KEY: " gp-x\n" }, ...(vault === undefined ? {} : { vault }) };
    const found = await resolveSecret(names, lookup(options));
    expect(found).toMatchObject({ name: "GONKAGATE_API_KEY", source: "env", notice: expect.stringContaining(NAME) });
    expect(found.secret.reveal()).toBe("gp-x");
  });

  it("prefers the canonical variable", async () => {
    const env = { GONKAGATE_API_KEY: "alias", [NAME]: "canonical" };
    const found = await resolveSecret(names, lookup({ env, backend: "env" }));
    expect(found).toMatchObject({ name: NAME, source: "env" });
    expect(found.notice).toBeUndefined();
  });

  it("uses a key in the config first, with a notice", async () => {
    const found = await resolveSecret(names, lookup({ inline: new Secret("inline"), vault: { [NAME]: "stored" } }));
    expect(found).toMatchObject({ source: "config", notice: expect.stringContaining("`zeph vault import`") });
  });

  it("does not look elsewhere when the vault cannot be opened", async () => {
    const locked = {
      ...lookup({ env: { [NAME]: "x" } }),
      vaultGet: () => Promise.reject(new ZephError("vault_locked")),
    };
    await expect(resolveSecret(names, locked)).rejects.toMatchObject({ code: "vault_locked" });
  });

  it("names the secret and the command when there is none (G5)", async () => {
    await expect(resolveSecret(names, lookup({ vault: {} }))).rejects.toMatchObject({
      code: "secret_missing",
      detail: `${NAME}, the secret of provider "gonkagate", is neither in the vault nor in the environment`,
      hint: expect.stringContaining(`zeph vault set ${NAME}`),
    });
    await expect(resolveSecret(names, lookup({ backend: "env" }))).rejects.toMatchObject({
      code: "secret_missing",
      hint: expect.stringContaining(`Set the variable ${NAME}`),
    });
    expect(await findSecret(names, lookup({ vault: {} }))).toBeUndefined();
  });
});

describe("secretNameFor", () => {
  it.each([
    ["gonkagate", "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"],
    ["gonka-broker", "ZEPH_COMPATIBLE_GONKA_BROKER_API_KEY"],
    ["My broker 2", "ZEPH_COMPATIBLE_MY_BROKER_2_API_KEY"],
    ["gonká.gg", "ZEPH_COMPATIBLE_GONK__GG_API_KEY"],
  ])("%s gives %s", (name, expected) => {
    expect(secretNameFor(name)).toBe(expected);
  });
});

describe("apiKeyNames", () => {
  it("reads the older spelling after the canonical one", () => {
    expect(apiKeyNames("gonka-broker").stored).toEqual([
      "ZEPH_COMPATIBLE_GONKA_BROKER_API_KEY",
      "ZEPH_COMPATIBLE_GONKA-BROKER_API_KEY",
    ]);
    expect(apiKeyNames("gonkagate").stored).toEqual(["ZEPH_COMPATIBLE_GONKAGATE_API_KEY"]);
  });

  it("knows the variables of other programs", () => {
    expect(apiKeyNames("gonkagate", { brokerKeyEnv: "GONKAGATE_API_KEY" }).aliases).toEqual(["GONKAGATE_API_KEY"]);
    expect(apiKeyNames("gonka24", { brokerKeyEnv: "GONKA24_API_KEY" }).aliases).toEqual(["GONKA24_API_KEY"]);
    expect(nativeSecretNames("ZEPH_GONKA_PRIVATE_KEY").aliases).toEqual(["GONKA_PRIVATE_KEY"]);
  });

  it("asks for a configured name alone", () => {
    expect(apiKeyNames("gonkagate", { configured: "MY_KEY" })).toEqual({
      canonical: "MY_KEY",
      stored: ["MY_KEY"],
      aliases: [],
    });
  });
});
