import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFileAtomic } from "../../base/files.ts";
import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { type Page, page } from "../../gateway/page/page.ts";
import { isLoopback } from "../../wire/endpoint.ts";
import type { Upstream } from "../local-endpoint.ts";
import { linkFolder, readLinkFile } from "./link.ts";
import { pageSources } from "./sources.ts";

/** The page beside one run of `zeph serve`. */
interface ServedPage extends Pick<Page, "answer" | "opened" | "ended"> {
  /** Writes down how `zeph open` finds this run, and gives a link that works once. */
  announce(port: number): Promise<string>;
  /** Ends its streams, and takes away what `announce` wrote. */
  close(): Promise<void>;
}

/** @param host the address the endpoint listens on. `undefined` where this computer's own names do not lead there. */
export async function servePage(
  context: CliContext,
  given: { readonly upstream: Upstream; readonly host: string; readonly isNamed: boolean; readonly isDemo: boolean },
): Promise<ServedPage | undefined> {
  const { upstream, host } = given;
  const ownName = ownNameFor(host);
  const folder = pageFolder();
  if (ownName === undefined || folder === undefined) return undefined;
  const linkKey = randomBytes(32).toString("base64url");
  const provider = upstream.opened.config.name;
  const sources = await pageSources(context, given);
  const { clock } = context;
  const served = page({ sources, folder, provider, linkKey, clock });
  let linkFile: string | undefined;
  return {
    answer: served.answer,
    opened: served.opened,
    ended: served.ended,
    async announce(port) {
      const path = join(linkFolder(zephFolders(upstream.setup.world).state), `${port}.json`);
      const content = JSON.stringify({ zeph: 1, host: ownName, port, key: linkKey });
      // Where it cannot be written, this run's own link still works.
      await writeFileAtomic(path, `${content}\n`).then(
        () => {
          linkFile = path;
        },
        () => {},
      );
      return `http://${ownName}:${port}/#token=${served.mintToken()}`;
    },
    async close() {
      served.close();
      if (linkFile === undefined) return;
      // Another run on the same port may have written its own meanwhile.
      const there = await readLinkFile(linkFile);
      if (there?.key === linkKey) await unlink(linkFile).catch(() => {});
    },
  };
}

/** The name by which this computer reaches what listens there, as it stands in a link. */
function ownNameFor(host: string): string | undefined {
  if (host === "0.0.0.0" || host === "::" || host === "localhost") return "127.0.0.1";
  const name = host.includes(":") ? `[${host}]` : host;
  return URL.canParse(`http://${name}`) && isLoopback(`http://${name}`) ? name : undefined;
}

/** At the root of the package, from the bundle and from the sources. */
function pageFolder(): string | undefined {
  return ["../../page/", "../../../page/"]
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((folder) => existsSync(join(folder, "index.html")));
}
