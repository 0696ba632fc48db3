import { spawn } from "node:child_process";
import { join } from "node:path";
import { writeFileAtomic } from "../../base/files.ts";
import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { ZephError } from "../../errors.ts";
import type { Run } from "../command-table.ts";
import { askForLink, forget, linkFiles, linkFolder } from "../page/link.ts";
import { writeResult } from "../terminal.ts";

/** `zeph open`: the page of a running `zeph serve`, in the browser. Each link works once. */
export const runOpen: Run<"open"> = async (context, { port, print }) => {
  if (port !== undefined && !/^\d{1,5}$/.test(port)) {
    throw new ZephError("usage", { detail: "--port takes a whole number from 1 to 65535" });
  }
  const folder = linkFolder(zephFolders(context).state);
  const link = await firstLink(context, folder, port === undefined ? undefined : Number(port));
  const isOpened = print !== true && (await openLink(context, folder, link));
  return writeResult(context, {
    data: { link, opened: isOpened },
    answer: `${link}\n`,
    notice: isOpened
      ? "The page is opened in your browser. If it does not show, open the link above; it works once.\n"
      : "Open this link in a browser on this computer; it works once.\n",
  });
};

async function firstLink(context: CliContext, folder: string, port: number | undefined): Promise<string> {
  const runs = (await linkFiles(folder)).filter((run) => port === undefined || run.port === port);
  let silentPort: number | undefined;
  for (const run of runs) {
    const link = await askForLink(context, run);
    if (link === "silent") silentPort ??= run.port;
    else if (link !== undefined) return link;
    else await forget(run);
  }
  if (silentPort !== undefined) {
    throw new ZephError("page_not_running", {
      detail: `the \`zeph serve\` on port ${silentPort} does not answer`,
      hint: "It may be stopped or busy. Let it go on, then run `zeph open` again.",
    });
  }
  throw new ZephError("page_not_running", port === undefined ? {} : { detail: `none on port ${port}` });
}

/**
 * The browser gets a private file that leads on to the link: what stands on a command line can be read by everybody on
 * this computer. False where there is no desktop to open it on.
 */
async function openLink(context: CliContext, folder: string, link: string): Promise<boolean> {
  const { env, platform } = context;
  const hasDesktop = platform !== "linux" || (env.DISPLAY ?? env.WAYLAND_DISPLAY ?? "") !== "";
  if (!hasDesktop && context.openFile === undefined) return false;
  const path = join(folder, "open.html");
  const page = `<!doctype html><meta charset="utf-8"><title>zeph</title><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url=${link}">\n`;
  try {
    await writeFileAtomic(path, page);
    return await (context.openFile ?? openOnDesktop(platform))(path);
  } catch {
    // The link itself is printed.
    return false;
  }
}

const OPENERS: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  darwin: ["open"],
  win32: ["cmd", "/c", "start", '""'],
};

function openOnDesktop(platform: NodeJS.Platform): (path: string) => Promise<boolean> {
  const [command = "xdg-open", ...args] = OPENERS[platform] ?? ["xdg-open"];
  return (path) =>
    new Promise((resolve) => {
      const child = spawn(command, [...args, path], { stdio: "ignore", detached: true });
      child.once("error", () => resolve(false));
      child.once("spawn", () => {
        child.unref();
        resolve(true);
      });
    });
}
