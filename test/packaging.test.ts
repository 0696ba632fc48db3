import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { type PackedPackage, packAndInstall } from "./support/packed-package.ts";

const execute = promisify(execFile);
const SUBPATHS = Object.keys(manifest.exports)
  .filter((subpath) => subpath !== "./package.json")
  .map((subpath) => subpath.replace(/^\./, "zeph"));

/** Packages that code imports: neither our own files nor Node's modules. */
function specifiers(code: string): readonly string[] {
  const plain = code.replace(/\/\*[\s\S]*?\*\//g, "");
  return [
    ...plain.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+|createRequire\(import\.meta\.url\)\()"([^"\s]+)"/gm),
  ]
    .map(([, name = ""]) => name)
    .filter((name) => !name.startsWith(".") && !name.startsWith("node:"));
}

/** For npm on a machine that has other things to do. */
const SLOW_MS = 90_000;

let packed: PackedPackage;
beforeAll(async () => {
  packed = await packAndInstall();
}, SLOW_MS);
afterAll(() => packed.remove());

describe("the tarball", () => {
  const ALLOWED = [
    /^dist\/.+\.(?:js|d\.ts)$/,
    /^dist\/cli\/toml-patch\.cjs$/,
    /^docs\/(?:[\w-]+\/)?[\w-]+\.(?:md|toml)$/,
    /^vectors\/[\w-]+\.json$/,
    /^page\/(?:[\w-]+\/)*[\w-]+\.(?:html|js|css|svg|png|webmanifest|woff2)$/,
    /^page\/lib\/LICENSES\.txt$/,
    /^(?:README|ARCHITECTURE|CHANGELOG|SECURITY)\.md$/,
    /^(?:LICENSE|package\.json)$/,
  ];

  it("holds the build, the documents and the vectors, and nothing else", () => {
    const paths = packed.files.map(({ path }) => path);
    const strangers = paths.filter((path) => !ALLOWED.some((pattern) => pattern.test(path)));
    expect(strangers).toEqual([]);
    expect(paths.filter((path) => /\.(?:test|test-d|bench)\.|__fixtures__|\.map$/.test(path))).toEqual([]);
    expect(paths).toEqual(expect.arrayContaining(["README.md", "LICENSE", "CHANGELOG.md", "vectors/signing.json"]));
    // The page, and what its import map names.
    const html = readFileSync(join(packed.folder, "page/index.html"), "utf8");
    const imported = [...html.matchAll(/"\/(page\/[\w./-]+\.js)"/g)].map(([, path = ""]) => path);
    expect(imported).not.toEqual([]);
    expect(imported.filter((path) => !paths.includes(path))).toEqual([]);
    expect(paths).toEqual(expect.arrayContaining(["page/lib/LICENSES.txt"]));
  });

  it("holds everything that package.json points at", () => {
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === "string" ? [target] : [target.types, target.default],
    );
    const paths = new Set(packed.files.map(({ path }) => path));
    expect([...targets, manifest.bin.zeph].filter((path) => !paths.has(path.replace(/^\.\//, "")))).toEqual([]);
  });

  it("holds every page that one of its pages links to", () => {
    const paths = new Set(packed.files.map(({ path }) => path));
    const dead = [...paths]
      .filter((path) => path.endsWith(".md"))
      .flatMap((path) =>
        [...readFileSync(join(packed.folder, path), "utf8").matchAll(/\]\((?!\w+:|#)([^)#]+)[^)]*\)/g)]
          .map(([, target = ""]) => normalize(join(dirname(path), target)))
          // Sources and examples are in the repository only.
          .filter((target) => !/^(?:src|examples)\//.test(target) && !paths.has(target))
          .map((target) => `${path} → ${target}`),
      );
    expect(dead).toEqual([]);
  });

  it("holds every program that its code starts", () => {
    const paths = new Set(packed.files.map(({ path }) => path));
    const started = [...paths]
      .filter((path) => path.endsWith(".js"))
      .flatMap((path) =>
        [
          ...readFileSync(join(packed.folder, path), "utf8").matchAll(
            /new URL\(["'`](\.[^"'`]+\.js)["'`],\s*import\.meta\.url\)/g,
          ),
        ].map(([, target = ""]) => normalize(join(dirname(path), target))),
      );
    expect(started).not.toEqual([]);
    expect(started.filter((path) => !paths.has(path))).toEqual([]);
  });

  it("points at no source map, because it ships no sources", () => {
    const pointing = packed.files.filter(
      ({ path }) =>
        path.endsWith(".js") && readFileSync(join(packed.folder, path), "utf8").includes("sourceMappingURL="),
    );
    expect(pointing).toEqual([]);
  });

  it("imports, in code and in types, only what it depends on", () => {
    const known = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
    const imported = packed.files
      // What the page imports, its import map names.
      .filter(({ path }) => /^dist\/.*\.(?:js|d\.ts)$/.test(path))
      .flatMap(({ path }) =>
        specifiers(readFileSync(join(packed.folder, path), "utf8")).map((name) => ({ path, name })),
      );
    const isOf = (dependency: string, name: string) => name === dependency || name.startsWith(`${dependency}/`);
    expect(imported.filter(({ name }) => !known.some((dependency) => isOf(dependency, name)))).toEqual([]);
    const unused = Object.keys(manifest.dependencies).filter((each) => !imported.some(({ name }) => isOf(each, name)));
    expect(unused).toEqual([]);
  });

  it("stays small", () => {
    const bytes = packed.files.reduce((sum, { size }) => sum + size, 0);
    expect(bytes).toBeLessThan(4_000_000);
  });

  it("has nothing that publint would mend", async () => {
    const tarball = readFileSync(packed.tarball);
    const { messages } = await publint({
      strict: true,
      pack: {
        tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength) as ArrayBuffer,
      },
    });
    expect(messages.map((message) => formatMessage(message, manifest, { color: false }))).toEqual([]);
  });
});

describe("installed from the tarball", () => {
  const inProject = (file: string, ...args: string[]) => execute(file, args, { cwd: packed.project });

  it("runs as a command", async () => {
    const command = join(packed.project, "node_modules", ".bin", "zeph");
    expect((await inProject(command, "--version")).stdout.trim()).toBe(manifest.version);
    expect((await inProject(command, "providers", "--brokers")).stdout).toContain("gonkagate");
  });

  it("gives every subpath to import and to require", async () => {
    const esm = SUBPATHS.map((name) => `await import(${JSON.stringify(name)})`).join(", ");
    const cjs = SUBPATHS.map((name) => `require(${JSON.stringify(name)})`).join(", ");
    const print = "modules.map((module) => Object.keys(module).length > 1).join()";
    const all = SUBPATHS.map(() => "true").join();
    const imported = await inProject(
      process.execPath,
      "-e",
      `(async () => { const modules = [${esm}]; console.log(${print}); })()`,
    );
    expect(imported.stdout.trim()).toBe(all);
    const required = await inProject(process.execPath, "-e", `const modules = [${cjs}]; console.log(${print});`);
    expect(required.stdout.trim()).toBe(all);
  });

  it.each([
    { name: "Node", moduleResolution: ts.ModuleResolutionKind.NodeNext, mode: ts.ModuleKind.ESNext as const },
    {
      name: "Node, from CommonJS",
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      mode: ts.ModuleKind.CommonJS as const,
    },
    { name: "bundlers", moduleResolution: ts.ModuleResolutionKind.Bundler, mode: ts.ModuleKind.ESNext as const },
  ])("gives the types of every subpath to $name", ({ moduleResolution, mode }) => {
    const from = join(packed.project, "consumer.ts");
    const found = SUBPATHS.map((name) =>
      ts.resolveModuleName(name, from, { moduleResolution }, ts.sys, undefined, undefined, mode),
    ).map(({ resolvedModule }) => resolvedModule?.resolvedFileName);
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === "string" ? [] : target.types,
    );
    expect(found).toEqual(targets.map((target) => join(packed.folder, target)));
  });
});
