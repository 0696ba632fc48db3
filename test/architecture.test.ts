import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SRC = join(ROOT, "src");

/** Which room may import which (ARCHITECTURE.md). Every room may import itself, `errors.ts`, `base` and `version.ts`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": [],
  "version.ts": [],
  base: [],
  wire: [],
  rules: [],
  brokers: [],
  config: [],
  vault: [],
  signer: ["wire"],
  network: ["wire"],
  transport: ["network", "signer", "wire", "brokers", "rules"],
  "ai-sdk": ["transport", "rules", "wire"],
  openai: ["transport", "wire"],
  provider: ["transport", "network", "signer", "wire", "brokers", "config", "vault"],
  journal: ["transport"],
  chat: ["transport", "rules", "journal", "wire"],
  init: ["provider", "transport", "network", "signer", "wire", "brokers", "config", "vault"],
  doctor: ["provider", "transport", "network", "signer", "wire", "brokers", "config", "vault", "journal"],
  gateway: ["provider", "transport", "wire", "brokers", "rules"],
  sandbox: ["rules", "wire"],
  cli: ["*"],
  "index.ts": ["transport", "network", "signer", "wire"],
};

/**
 * What the sandbox may know of the product: the numbers of the network's rules, and no judgement; its devshard hosts read
 * and apply with the pure code whose vectors come from the network's own, and sign with a curve of their own.
 */
const SANDBOX_MAY_KNOW = [
  "rules/parameters.ts",
  "wire/devshard/compose.ts",
  "wire/devshard/ledger.ts",
  "wire/devshard/messages.ts",
  "wire/devshard/rules.ts",
  "wire/devshard/transitions.ts",
  "wire/protobuf.ts",
];

/** Longer than a chapter should be, each with its reason. */
const LONG: Readonly<Record<string, string>> = {};

/** Exported although no other file imports it, each with its reason. */
const NAMED: Readonly<Record<string, string>> = {
  "config/shape.ts: TableShape": "the declarations of the config name it",
  "wire/protobuf.ts: ProtobufMessage": "the declarations of messages name it",
};

const FOR_ALL = ["errors.ts", "base", "version.ts"];

/** Each third-party module has one home, or few. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  "@noble/": ["wire"],
  "@scure/base": ["signer", "wire", "vault"],
  "tiny-secp256k1": ["wire"],
  "age-encryption": ["vault"],
  hono: ["sandbox"],
  "@hono/": ["gateway", "sandbox"],
  "@clack/": ["init"],
  commander: ["cli"],
  ai: ["chat"],
  "@ai-sdk/": ["ai-sdk", "chat"],
  "smol-toml": ["config"],
  "@decimalturn/": ["config"],
  marked: ["cli"],
  "fast-string-width": ["cli"],
  "jsonc-parser": ["cli"],
  yaml: ["cli"],
  zod: ["config", "wire", "network", "ai-sdk", "cli"],
  "eventsource-parser": ["wire", "gateway", "sandbox"],
  undici: ["cli"],
  redis: ["journal"],
};

interface Import {
  readonly file: string;
  /** Relative to `src`, or the name of a package. */
  readonly target: string;
  /** What is taken; undefined where it is the whole module. */
  readonly names: readonly string[] | undefined;
}

const isSource = (file: string) => file.endsWith(".ts") && !/\.(?:test|test-d)\.ts$/.test(file);
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter(isSource);

/** Code without comments, where words like "import" mean nothing. */
function code(file: string): string {
  return readFileSync(join(SRC, file), "utf8")
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
}

function parse(path: string): ts.SourceFile {
  const kind = path.endsWith(".mjs") ? ts.ScriptKind.JS : ts.ScriptKind.TS;
  return ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ESNext, true, kind);
}

/** Every import, re-export and `import("…")` of a file. Scripts that import the build are read as importing its sources. */
function importsOf(path: string): Import[] {
  const file = relative(SRC, path);
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, names: readonly string[] | undefined) => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const place = resolve(dirname(path), specifier.text);
    const source = place.startsWith(join(ROOT, "dist/"))
      ? relative(join(ROOT, "dist"), place).replace(/\.js$/, ".ts")
      : relative(SRC, place);
    found.push({ file, target: specifier.text.startsWith(".") ? source : specifier.text, names });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings;
      const isNamed = bindings !== undefined && ts.isNamedImports(bindings);
      add(
        node.moduleSpecifier,
        isNamed ? bindings.elements.map((each) => (each.propertyName ?? each.name).text) : undefined,
      );
    } else if (ts.isExportDeclaration(node)) {
      const clause = node.exportClause;
      const isNamed = clause !== undefined && ts.isNamedExports(clause);
      add(
        node.moduleSpecifier,
        isNamed ? clause.elements.map((each) => (each.propertyName ?? each.name).text) : undefined,
      );
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], namesTaken(node));
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, node.qualifier === undefined ? undefined : [node.qualifier.getText()]);
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(path));
  return found;
}

/** `const { a, b } = await import("…")` and `(await import("…")).a` take these names; anything else takes the module. */
function namesTaken(call: ts.CallExpression): readonly string[] | undefined {
  if (!ts.isAwaitExpression(call.parent)) return undefined;
  const { parent } = call.parent;
  if (ts.isVariableDeclaration(parent) && ts.isObjectBindingPattern(parent.name)) {
    return parent.name.elements.map((each) => (each.propertyName ?? each.name).getText());
  }
  if (ts.isParenthesizedExpression(parent) && ts.isPropertyAccessExpression(parent.parent))
    return [parent.parent.name.text];
  return undefined;
}

const imports: readonly Import[] = files.flatMap((file) => importsOf(join(SRC, file)));
const isOwn = ({ target }: Import) => files.includes(target);
const room = (file: string) => file.split("/")[0] ?? file;

describe("the rooms", () => {
  it("import no room above or beside them", () => {
    const violations = imports
      .filter(isOwn)
      .filter(({ file, target }) => {
        const [from, to] = [room(file), room(target)];
        const allowed = MAY_IMPORT[from];
        return !(from === to || FOR_ALL.includes(to) || allowed?.includes("*") || allowed?.includes(to));
      })
      .map(({ file, target }) => `${file} imports ${target}: ${room(file)} may not import ${room(target)}`);
    expect(violations).toEqual([]);
  });

  it("are all named above, and each is used", () => {
    const rooms = new Set(files.map(room));
    expect(Object.keys(MAY_IMPORT).sort()).toEqual([...rooms].sort());
  });

  it("let the sandbox judge by itself", () => {
    const known = imports.filter(
      (each) => isOwn(each) && room(each.file) === "sandbox" && ["rules", "wire"].includes(room(each.target)),
    );
    expect([...new Set(known.map(({ target }) => target))].sort()).toEqual(SANDBOX_MAY_KNOW);
  });

  it("have no cycles between files, not of types either", () => {
    const edges = new Map<string, string[]>();
    const lazy = new Set(
      files.flatMap((file) =>
        [...code(file).matchAll(/\bimport\(\s*"(\.[^"]+)"/g)].map(([, to = ""]) => `${file} ${to}`),
      ),
    );
    for (const { file, target } of imports.filter(isOwn)) {
      const specifier = relative(dirname(file), target);
      if (lazy.has(`${file} ${specifier.startsWith(".") ? specifier : `./${specifier}`}`)) continue;
      edges.set(file, [...(edges.get(file) ?? []), target]);
    }
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
      .filter((each) => !isOwn(each) && !each.target.startsWith("node:"))
      .filter(({ file, target }) => {
        const home = Object.entries(HOMES).find(
          ([name]) => target === name || target.startsWith(name.endsWith("/") ? name : `${name}/`),
        );
        return home === undefined || !home[1].includes(room(file));
      })
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(homeless).toEqual([]);
  });
});

describe("a file is a chapter", () => {
  it("of at most 600 lines", () => {
    const long = files.filter((file) => readFileSync(join(SRC, file), "utf8").split("\n").length > 601);
    expect(long).toEqual(Object.keys(LONG));
  });

  it("and exports nothing that no other file imports", () => {
    const users = ["test", "bench", "scripts", "examples"].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => /\.(?:ts|mjs)$/.test(file) && !file.includes("node_modules"))
        .map((file) => join(ROOT, folder, file)),
    );
    const tests = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) =>
      /\.(?:test|test-d)\.ts$/.test(file),
    );
    const taken = [...imports, ...[...users, ...tests.map((file) => join(SRC, file))].flatMap(importsOf)];
    const doors = new Set(["index.ts", ...files.filter((file) => file.endsWith("/index.ts"))]);
    const idle = files
      .filter((file) => !doors.has(file))
      .flatMap((file) => {
        const users = taken.filter(({ target }) => target === file);
        if (users.some(({ names }) => names === undefined)) return [];
        const names = new Set(users.flatMap((each) => each.names ?? []));
        return exportedNames(file)
          .filter((name) => !names.has(name))
          .map((name) => `${file}: ${name}`);
      });
    expect(idle).toEqual(Object.keys(NAMED));
  });
});

function exportedNames(file: string): string[] {
  return parse(join(SRC, file)).statements.flatMap((statement) => {
    const isExported =
      ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
    if (!isExported) return [];
    if (ts.isVariableStatement(statement))
      return statement.declarationList.declarations.map(({ name }) => name.getText());
    return "name" in statement && statement.name !== undefined ? [(statement.name as ts.Identifier).text] : [];
  });
}

describe("the outside world", () => {
  const GLOBALS: readonly (readonly [RegExp, string, readonly RegExp[]])[] = [
    [/\bprocess\.(?!env\b\?)/, "process", [/^cli\/(?:main|world|launch\/run-agent)\.ts$/]],
    [/\bconsole\.(?:log|error|warn|info|debug)\(/, "console", []],
    [/\bDate\.now\(/, "Date.now", [/^base\/time\.ts$/]],
    [
      /\bMath\.random\b/,
      "Math.random",
      [/^base\/time\.ts$/, /^network\/discovery\.ts$/, /^transport\/connection\.ts$/, /^cli\/world\.ts$/],
    ],
    [/(?<![.\w])(?:setTimeout|setInterval)\(/, "timers", [/^base\/time\.ts$/]],
    [
      /globalThis\.fetch\(/,
      "globalThis.fetch",
      [/^network\/discovery\.ts$/, /^transport\/connection\.ts$/, /^cli\/world\.ts$/],
    ],
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
    const allowed = ["init/native.ts"];
    expect(named.filter((file) => !file.startsWith("sandbox/") && !allowed.includes(file))).toEqual([]);
  });
});
