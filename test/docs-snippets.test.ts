import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { markdownPages } from "./support/markdown-pages.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(ROOT, ".zeph-snippets-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a snippet may use without saying where it came from: what the text around it has introduced. */
const ASSUMED = `
declare global {
  const apiKey: string, baseURL: string, model: string, modelId: string, prompt: string;
  const signer: import("zeph").RequestSigner;
  const sandbox: import("zeph/testing").Sandbox;
  const createGonka: typeof import("zeph/ai-sdk").createGonka;
}
export {};
`;
/** Where the language model is meant, not its id. */
const ASSUMED_MODEL = /\b(?:generateText|streamText)\(\{ model, /;

/** Complains when the package's declarations are not found, for then everything would be `any` and pass. */
const CONTROL = `
import { createGonka } from "zeph/ai-sdk";
// @ts-expect-error a model's id is text
export const id: number = createGonka()("model").modelId;
`;

const examples = readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join(ROOT, "examples", name), "utf8"));

const snippets = markdownPages()
  .flatMap(({ path, codeBlocks }) => codeBlocks.map((block) => ({ ...block, page: path })))
  .filter(({ language }) => language === "ts");

it("every snippet is part of an example that runs, or passes the type check", async () => {
  const toCheck = snippets.filter((snippet) => !examples.some((example) => example.includes(snippet.text)));
  expect(snippets.length).toBeGreaterThan(15);
  expect(toCheck.length).toBeLessThan(snippets.length);

  const places = toCheck.map(({ page, line, text: code }, index) => {
    const imports = ASSUMED_MODEL.test(code)
      ? 'import { generateText } from "ai"; import { gonka as provider } from "zeph/ai-sdk"; const model = provider("model");'
      : "";
    // One line before the snippet, so that the compiler's line numbers can be told as the page's.
    writeFileSync(
      join(folder, `${index}.ts`),
      `${code.includes("import { generateText") ? "" : imports}\n${code}\nexport {};\n`,
    );
    return { file: `${index}.ts`, page, line };
  });
  writeFileSync(join(folder, "assumed.d.ts"), ASSUMED);
  writeFileSync(join(folder, "control.ts"), CONTROL);
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "../tsconfig.json",
      // As in a user's strict project: by the package's name, so by the declarations of the build.
      compilerOptions: {
        paths: {},
        rootDir: ".",
        noUnusedLocals: false,
        noUnusedParameters: false,
      },
      include: ["*.ts"],
    }),
  );
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const child = spawn(process.execPath, [compiler, "-p", folder, "--pretty", "false"], { cwd: folder });
  const complaints = (await text(child.stdout)).split("\n").filter((line) => line !== "");
  const told = complaints.map((complaint) => {
    const [, file, line] = /^(\d+\.ts)\((\d+),/.exec(complaint) ?? [];
    const place = places.find((each) => each.file === file);
    return place === undefined ? complaint : `${place.page}:${place.line + Number(line) - 1} ${complaint}`;
  });
  expect(told).toEqual([]);
}, 90_000);
