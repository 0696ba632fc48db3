import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { join, relative } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "./support/packed-package.ts";

/** Writes the address of every module that is imported after it to file descriptor 3; required ones are asked for below. */
const HOOKS = `
import { writeSync } from "node:fs";
export async function load(url, context, next) {
  writeSync(3, url + "\\n");
  return next(url, context);
}`;

const PROGRAM = `
import { register, createRequire } from "node:module";
import { writeSync } from "node:fs";
import { pathToFileURL } from "node:url";
register("data:text/javascript," + encodeURIComponent(${JSON.stringify(HOOKS)}));
const { RequestSigner } = await import("zeph/signer");
const signer = RequestSigner.fromHex("1".padStart(64, "0"));
console.log(signer.sign({ body: "hello", timestampNanos: 1n, transferAddress: signer.address }).length);
for (const file of Object.keys(createRequire(import.meta.url).cache ?? {})) writeSync(3, pathToFileURL(file).href + "\\n");
`;

let loaded: readonly string[];
let printed: string;
beforeAll(async () => {
  const child = spawn(process.execPath, ["--input-type=module", "--no-warnings", "-e", PROGRAM], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit", "pipe"],
  });
  const [, stdout, , third] = child.stdio;
  if (third === null || third === undefined || !("read" in third)) throw new Error("no third pipe");
  const [out, urls] = await Promise.all([text(stdout as NonNullable<typeof stdout>), text(third)]);
  printed = out;
  loaded = [...new Set(urls.split("\n").filter((url) => url !== "" && !url.startsWith("data:")))];
});

const files = () => loaded.filter((url) => url.startsWith("file:")).map((url) => fileURLToPath(url));
const places = () => files().map((file) => relative(ROOT, file).replaceAll("\\", "/"));

describe("what zeph/signer loads", () => {
  it("signs", () => {
    expect(printed).toBe("88\n");
  });

  it("is crypto and nothing else", () => {
    const packages = places().map((place) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(place)?.[1]);
    const folders = places().map((place) => /^dist\/(\w+)/.exec(place)?.[1]);
    expect(new Set(packages.filter((name) => name !== undefined))).toEqual(
      new Set(["@noble/hashes", "@noble/secp256k1", "@scure/base", "tiny-secp256k1", "uint8array-tools"]),
    );
    expect(new Set(folders.filter((name) => name !== undefined))).toEqual(
      new Set(["base", "errors", "signer", "wire"]),
    );
    // Besides node:module, which the program above has loaded already.
    expect(loaded.filter((url) => url.startsWith("node:")).sort()).toEqual(["node:crypto"]);
  });

  it("is small", () => {
    const bytes = files().reduce((sum, file) => sum + statSync(file).size, 0);
    // Measured in November 2026: 224 kB in 27 files, and 1.24 MB of WebAssembly that the curve's package reads.
    expect(bytes).toBeLessThan(260_000);
    expect(files().length).toBeLessThan(40);
    const webAssembly = join(ROOT, "node_modules", "tiny-secp256k1", "lib", "secp256k1.wasm");
    expect(statSync(webAssembly).size).toBeLessThan(1_300_000);
  });
});
