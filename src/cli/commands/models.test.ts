import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { testCli } from "../../../test/support/cli-context.ts";
import { runModels } from "./models.ts";

const LIST = {
  data: [
    {
      id: "example/model-a",
      context_length: 128_000,
      pricing: { prompt: 0.22, completion: 0.44 },
      supports_tools: true,
    },
    { id: "example/model-b", supports_tools: false },
    { id: "example/a-model-with-a-long-name" },
    { id: "example/embed-1" },
  ],
};

async function models(columns: number): Promise<string> {
  const homeDir = await mkdtemp(join(tmpdir(), "zeph-models-"));
  await mkdir(join(homeDir, ".config", "zeph"), { recursive: true });
  await writeFile(
    join(homeDir, ".config", "zeph", "config.toml"),
    '[[llm.providers]]\ntype = "compatible"\nname = "a"\nbase_url = "https://a.example/v1"\napi_key = "k-planted"\nmodel = "example/model-a"\n',
  );
  const cli = testCli({ homeDir, fetch: () => Promise.resolve(Response.json(LIST)) });
  Object.assign(cli.context.stdout, { columns });
  await runModels(cli.context, {});
  return cli.stdout();
}

it("shows a table with a name for every column", async () => {
  const [head = "", ...rows] = (await models(100)).trimEnd().split("\n");
  expect(head.trim().split(/ {2,}/)).toEqual(["model", "context", "in $/1M", "out $/1M", "kind"]);
  expect(rows.map((row) => row.trim().split(/ {2,}/).at(-1))).toEqual([
    "chat, tools",
    "chat, no tools",
    "chat",
    "embedding",
  ]);
});

it("puts the facts under the name where the table is too wide", async () => {
  const text = await models(40);
  expect(text).toContain("● example/model-a\n    128K context · $0.22 in, $0.44 out per 1M · chat, tools\n");
  expect(text).toContain("  example/embed-1\n    ? context · $? in, $? out per 1M · embedding\n");
});
