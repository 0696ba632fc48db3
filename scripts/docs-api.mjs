// The API reference, by typedoc, from the docstrings of what package.json exports.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Application, PageEvent } from "typedoc";

/** Named by public types, and no use of their own to anybody outside. */
const INNER_TYPES = [
  "AccountBook",
  "Answer",
  "AnswerFaultKind",
  "BlockClock",
  "BlockStore",
  "CATALOGUE",
  "ChainFaultSwitch",
  "ChainParams",
  "CheckFaultKind",
  "ConnectionFaultKind",
  "DevshardChain",
  "DevshardHost",
  "DevshardParams",
  "EpochBook",
  "Executed",
  "Execution",
  "ExecutorFaultKind",
  "FaultOccasion",
  "FrontAnswerKind",
  "GatewayRequest",
  "HostFaultSwitch",
  "KEY_KINDS",
  "Payment",
  "Tampering",
];

/**
 * Writes the reference into `out`.
 * @returns {Promise<{ warnings: number, entries: { title: string, href: string, text: string }[] }>} what it had to
 * complain about, and what the site's search should find
 */
export async function buildApi(root, out) {
  const { exports, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const entries = Object.entries(exports)
    .filter(([subpath]) => subpath !== "./package.json")
    .map(([subpath, { default: target }]) => ({
      name: subpath.replace(/^\./, "zeph"),
      file: target.replace("./dist/", "src/").replace(/\.js$/, ".ts"),
    }));
  const app = await Application.bootstrap({
    entryPoints: entries.map(({ file }) => join(root, file)),
    tsconfig: join(root, "tsconfig.build.json"),
    name: `zeph ${version}: API`,
    readme: "none",
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    // No links to a repository on the web: the site has to work from a folder.
    disableSources: true,
    disableGit: true,
    hideGenerator: true,
    skipErrorChecking: true,
    intentionallyNotExported: INNER_TYPES,
    navigationLinks: { Guides: "../index.html" },
    customCss: join(root, "scripts", "docs-api.css"),
    logLevel: "Warn",
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("typedoc could not read the sources");
  for (const module of project.children ?? []) {
    // typedoc calls a module by its folder; we, by what one writes after `import … from`.
    const file = module.name === "index" ? "src/index.ts" : `src/${module.name}/index.ts`;
    module.name = entries.find((entry) => entry.file === file)?.name ?? module.name;
  }
  app.validate(project);
  const found = [];
  app.renderer.on(PageEvent.END, ({ model, url }) => {
    if (!project.children?.includes(model.parent)) return;
    found.push({ title: model.name, href: `api/${url}`, text: `${model.parent.name} ${summaryOf(model)}` });
  });
  await app.generateDocs(project, out);
  return { warnings: app.logger.warningCount + app.logger.errorCount, entries: found };
}

function summaryOf(reflection) {
  const comment = reflection.comment ?? reflection.signatures?.[0]?.comment;
  return (comment?.summary ?? []).map(({ text }) => text).join("");
}
