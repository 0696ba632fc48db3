import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Where a Chromium is looked for: `ZEPH_CHROMIUM` first, then where systems put it. */
const PLACES = [
  process.env.ZEPH_CHROMIUM ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:/Program Files/Google/Chrome/Application/chrome.exe",
];

/** The installed browser, or undefined. Nothing is ever downloaded. */
export const CHROMIUM = PLACES.find((place) => place !== "" && existsSync(place));

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM ?? "",
    // Inside a container there are no namespaces for its sandbox; everything opened is on loopback.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"],
  });
}

/** A page of its own, in a profile of its own, that writes down what must not happen. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, complaints of the console (the content policy's among them), requests to elsewhere. */
  readonly wrong: string[];
  close(): Promise<void>;
}

/** @param expected complaints that a test brings about itself */
export async function openPage(
  browser: Browser,
  origin: string,
  options: BrowserContextOptions & { readonly expected?: RegExp } = {},
): Promise<WatchedPage> {
  const { expected, ...contextOptions } = options;
  const context = await browser.newContext({ locale: "en-US", ...contextOptions, reducedMotion: "reduce" });
  context.setDefaultTimeout(10_000);
  const wrong: string[] = [];
  const note = (text: string) => {
    if (!expected?.test(text)) wrong.push(text);
  };
  context.on("weberror", (error) => note(`script: ${error.error().message}`));
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") note(`console: ${message.text()}`);
  });
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:") && !url.startsWith("blob:")) note(`request: ${url}`);
  });
  return { page: await context.newPage(), wrong, close: () => context.close() };
}
