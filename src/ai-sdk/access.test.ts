import { afterEach, describe, expect, it, vi } from "vitest";
import { providerAccess, readEnvironmentKey } from "./access.ts";

describe("provider access", () => {
  afterEach(() => vi.unstubAllEnvs());

  /** The `Authorization` a provider sends. */
  async function sentKey(settings: {
    broker?: string;
    baseURL?: string;
    apiKey?: string | undefined;
  }): Promise<string | null> {
    let sent: string | null = null;
    const fetch = async (_input: string | URL | Request, init?: RequestInit) => {
      sent = new Headers(init?.headers).get("authorization");
      return Response.json({ data: [] });
    };
    const access = providerAccess({ ...settings, fetch });
    await (await access.connect())(`${access.baseURL}/models`);
    return sent;
  }

  describe("the key", () => {
    it("is the broker's own, then zeph's name for it, then the general one", async () => {
      vi.stubEnv("GONKA_API_KEY", "general");
      expect(await sentKey({})).toBe("Bearer general");
      vi.stubEnv("ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gp-zeph");
      expect(await sentKey({ broker: "gonkagate" })).toBe("Bearer gp-zeph");
      vi.stubEnv("GONKAGATE_API_KEY", "gp-own");
      expect(await sentKey({ baseURL: "https://api.gonkagate.com" })).toBe("Bearer gp-own");
    });

    it.each([undefined, "", " "])(
      "is the environment's where %j was given, as by a variable that is not set",
      async (apiKey) => {
        vi.stubEnv("GONKAGATE_API_KEY", "gp-own");
        expect(await sentKey({ apiKey })).toBe("Bearer gp-own");
        vi.stubEnv("GONKAGATE_API_KEY", "");
        vi.stubEnv("GONKA_API_KEY", "");
        await expect(sentKey({ apiKey })).rejects.toMatchObject({ code: "secret_missing" });
      },
    );

    it("of one broker never goes to another", async () => {
      vi.stubEnv("GONKAGATE_API_KEY", "gp-own");
      vi.stubEnv("GONKA_API_KEY", "");
      for (const settings of [{ broker: "joingonka" }, { baseURL: "https://elsewhere.example/v1" }]) {
        await expect(sentKey(settings)).rejects.toMatchObject({ code: "secret_missing" });
      }
    });

    it("is looked for at each request until there is one", async () => {
      vi.stubEnv("GONKAGATE_API_KEY", "");
      vi.stubEnv("GONKA_API_KEY", "");
      const access = providerAccess({});
      await expect(access.connect()).rejects.toMatchObject({ code: "secret_missing" });
      vi.stubEnv("GONKA_API_KEY", "late");
      const gonka = await access.connect();
      expect(await access.connect()).toBe(gonka);
    });
  });

  describe("the address", () => {
    it("is GonkaGate's, the named broker's, or the one given", () => {
      expect(providerAccess({}).baseURL).toBe("https://api.gonkagate.com/v1");
      expect(providerAccess({ broker: "joingonka" }).baseURL).toBe("https://gate.joingonka.ai/v1");
      expect(providerAccess({ broker: "joingonka", baseURL: "127.0.0.1:9/" }).baseURL).toBe("http://127.0.0.1:9/v1");
    });

    it.each([{ broker: "custom" }, { broker: "nobody" }])("must be known: %j", (settings) => {
      expect(() => providerAccess(settings)).toThrow(expect.objectContaining({ code: "config_invalid" }));
    });

    it("must be one", () => {
      expect(() => providerAccess({ baseURL: "ftp://x" })).toThrow(expect.objectContaining({ code: "wrong_url" }));
    });
  });
});

describe("readEnvironmentKey", () => {
  it("takes the first variable that holds something, trimmed", () => {
    const env = { FIRST: " ", SECOND: " gp-2\n", THIRD: "gp-3" };
    expect(readEnvironmentKey(["FIRST", "SECOND", "THIRD"], { process: { env } })).toBe("gp-2");
  });

  it.each([{}, { process: {} }, { process: { env: {} } }])("names the variables when there is none (%j)", (runtime) => {
    expect(() => readEnvironmentKey(["A_KEY", "B_KEY"], runtime)).toThrow(
      expect.objectContaining({ code: "secret_missing", detail: expect.stringContaining("A_KEY, B_KEY are not set") }),
    );
  });

  it("reads the real environment", () => {
    vi.stubEnv("ZEPH_TEST_KEY", "gp-real");
    expect(readEnvironmentKey(["ZEPH_TEST_KEY"])).toBe("gp-real");
  });
});
