import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import manifest from "../../package.json" with { type: "json" };

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const execute = promisify(execFile);

export interface PackedPackage {
  /** A project that has the package installed, in a folder of its own. */
  readonly project: string;
  /** Where the package is in it. */
  readonly folder: string;
  readonly tarball: string;
  /** Paths in the tarball. */
  readonly files: readonly { readonly path: string; readonly size: number }[];
  remove(): void;
}

/**
 * Packs the build and installs the tarball into a new project, as `npm install` would, without the network: what
 * `package.json` names as dependencies is linked to what is installed here, and nothing else can be found.
 */
export async function packAndInstall(): Promise<PackedPackage> {
  const project = realpathSync(mkdtempSync(join(tmpdir(), "zeph-packed-")));
  const { stdout } = await execute("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", project], {
    cwd: ROOT,
    shell: process.platform === "win32",
    maxBuffer: 16 * 1024 * 1024,
  });
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string; size: number }[] }];
  const tarball = join(project, packed.filename);
  const folder = join(project, "node_modules", "zeph");
  mkdirSync(folder, { recursive: true });
  await execute("tar", ["-xzf", tarball, "-C", folder, "--strip-components", "1"]);
  writeFileSync(join(project, "package.json"), '{ "type": "module" }\n');
  // Users of `zeph/ai-sdk` and `zeph/openai` bring the peers.
  const names = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  for (const name of [...names, "@types/node"]) link(project, name);
  const command = join(project, "node_modules", ".bin", "zeph");
  mkdirSync(dirname(command));
  symlinkSync(join(folder, manifest.bin.zeph), command);
  return {
    project,
    folder,
    tarball,
    files: packed.files,
    remove: () => rmSync(project, { recursive: true, force: true }),
  };
}

function link(project: string, name: string): void {
  const place = join(project, "node_modules", name);
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), place, "dir");
}
