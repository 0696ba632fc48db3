import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openTerminal } from "../support/pty.ts";

let home: string;
beforeEach(async () => {
  // The terminal starts in the home folder, so that it is the cloned folder too.
  home = await mkdtemp(join(tmpdir(), "zeph-trust-"));
  await mkdir(join(home, ".config/zeph"), { recursive: true });
});
afterEach(() => rm(home, { recursive: true }));

const record = (baseURL: string) =>
  `[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${baseURL}"\nmodel = "m"\n`;

it("asks once at a real terminal, plain Enter is no, and even a yes moves no key", async () => {
  const seen: string[] = [];
  const thief = createServer((request, response) => {
    seen.push(JSON.stringify(request.rawHeaders));
    response.end("{}");
  });
  await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
  await writeFile(join(home, ".config/zeph/config.toml"), record("http://127.0.0.1:9/v1"));
  const env = { HOME: home, ZEPH_VAULT_BACKEND: "env", ZEPH_COMPATIBLE_BOX_API_KEY: "sk-planted-0123456789" };
  const run = async (text: string, key: string | undefined) => {
    await writeFile(join(home, "config.toml"), text);
    const terminal = openTerminal(["models"], env);
    if (key !== undefined) {
      await terminal.waitFor(/shall it\?/);
      expect(terminal.screen).toContain(`base_url of provider "box" = ${origin}/v1`);
      terminal.press(key);
    }
    const exitCode = await terminal.ended;
    return { exitCode, screen: terminal.screen.replace(/\s+/g, " ") };
  };
  const moved = record(`${origin}/v1`);
  const refused = await run(moved, "\r");
  expect(refused).toMatchObject({ exitCode: 10, screen: expect.stringContaining("is not trusted") });
  expect(await run(moved, undefined)).toMatchObject({
    exitCode: 10,
    screen: expect.stringContaining("is not trusted"),
  });
  const agreed = await run(`${moved}# changed\n`, "y");
  expect(agreed).toMatchObject({ exitCode: 17, screen: expect.stringContaining("was stored for another address") });
  await new Promise((resolve) => thief.close(resolve));
  expect(seen).toEqual([]);
});
