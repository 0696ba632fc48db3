import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";

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

/** For waits on what happens as soon as the machine gets to it. */
export const PATIENT = { timeout: 120_000 };

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM ?? "",
    // Inside a container there are no namespaces for its sandbox; everything opened is on loopback.
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--disable-background-networking",
      "--host-resolver-rules=MAP evil.example 127.0.0.1",
    ],
  });
}

/** A profile whose pages share what the browser keeps; reduced motion, so that nothing moves under the pointer. */
export async function openContext(browser: Browser, options: BrowserContextOptions = {}): Promise<BrowserContext> {
  const context = await browser.newContext({ locale: "en-US", reducedMotion: "reduce", ...options });
  // Less than a test has, so that it says which wait it was.
  context.setDefaultTimeout(PATIENT.timeout / 2);
  // Each page of a test begins without what another test chose.
  await context.addInitScript("if (!sessionStorage.begun) { localStorage.clear(); sessionStorage.begun = 1; }");
  return context;
}

/** A page that writes down what must not happen. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, complaints of the console (the content policy's among them), requests to elsewhere. */
  readonly wrong: string[];
}

/** How a page is looked at. */
export interface Looks {
  readonly colorScheme?: "light" | "dark";
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly locale?: string;
  /** Complaints that a test brings about itself. */
  readonly expected?: RegExp;
}

export async function openPage(context: BrowserContext, origin: string, looks: Looks = {}): Promise<WatchedPage> {
  const { expected, colorScheme, viewport } = looks;
  const page = await context.newPage();
  if (colorScheme !== undefined) await page.emulateMedia({ colorScheme });
  if (viewport !== undefined) await page.setViewportSize(viewport);
  const wrong: string[] = [];
  const note = (text: string) => {
    if (!expected?.test(text)) wrong.push(text);
  };
  page.on("pageerror", (error) => note(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") note(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:") && !url.startsWith("blob:")) note(`request: ${url}`);
  });
  return { page, wrong };
}
