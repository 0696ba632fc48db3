import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Refuses Node's own modules to everything that is loaded after it. */
const HOOKS = `
import { isBuiltin } from "node:module";
export async function resolve(specifier, context, next) {
  if (isBuiltin(specifier)) throw new Error("edge: " + specifier + " is wanted by " + context.parentURL);
  return next(specifier, context);
}`;

/**
 * An edge runtime, as far as it matters: no Node modules and no \`process\`; the web's globals are there. (\`Buffer\` has to
 * stay, because Node's own fetch uses the global; the sources are searched for it instead.)
 */
const PROGRAM = `
import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(${JSON.stringify(HOOKS)}));
const { exit } = process;
// Node loads its own fetch when it is first used, and that wants the process.
await new Response("").text();
delete globalThis.process;
try {
  const { createGonka, toZephError } = await import("./src/ai-sdk/index.js");
  const events = ["{\\"choices\\":[{\\"delta\\":{\\"content\\":\\"hello\\"}}]}", "{\\"choices\\":[{\\"delta\\":{},\\"finish_reason\\":\\"stop\\"}]}", "[DONE]"];
  const fetch = async () => new Response(events.map((data) => "data: " + data + "\\n\\n").join(""), { headers: { "content-type": "text/event-stream" } });
  const prompt = [{ role: "user", content: [{ type: "text", text: "Hi" }] }];
  const { stream } = await createGonka({ apiKey: "gp-test", fetch })("m").doStream({ prompt });
  let answer = "";
  for await (const part of stream) if (part.type === "text-delta") answer += part.delta;
  const failure = await createGonka({ fetch })("m").doGenerate({ prompt }).catch(toZephError);
  console.log(JSON.stringify({ answer, failure: failure.code }));
  exit(0);
} catch (error) {
  console.error(error);
  exit(1);
}`;

let folder: string;

beforeAll(() => {
  // Inside the project, so that its packages are found.
  folder = mkdtempSync(join(ROOT, ".zeph-edge-"));
  transpile(join(ROOT, "src/ai-sdk/index.ts"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "program.js"), PROGRAM);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is loaded for a broker, as JavaScript by file: everything but what is imported on demand. */
const loaded = new Map<string, string>();

/** Strips the types of a file and of all it imports from us, as the build does. */
function transpile(file: string): void {
  if (loaded.has(relative(ROOT, file))) return;
  const { outputText } = ts.transpileModule(readFileSync(file, "utf8"), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  loaded.set(relative(ROOT, file), outputText);
  const target = join(folder, relative(ROOT, file)).replace(/\.ts$/, ".js");
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, outputText);
  for (const [, specifier = ""] of outputText.matchAll(/\bfrom\s+"(\.[^"]+)\.js"/g)) {
    transpile(resolve(dirname(file), `${specifier}.ts`));
  }
}

it("a broker is reached without any module of Node and without process", async () => {
  const child = spawn(process.execPath, ["--no-warnings", join(folder, "program.js")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [answered, complained] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(complained).toBe("");
  expect(JSON.parse(answered)).toEqual({ answer: "hello", failure: "secret_missing" });
});

it("no file that a broker needs names Buffer, or the crypto of the signer", () => {
  const names = [...loaded].filter(([, code]) => /\bBuffer\b/.test(code)).map(([file]) => file);
  expect(names).toEqual([]);
  expect([...loaded.keys()].filter((file) => file.startsWith("src/signer/"))).toEqual([]);
  expect(loaded.size).toBeGreaterThan(20);
});
