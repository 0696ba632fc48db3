import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

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

/** Said by the name of the skipped suite. */
export const NO_BROWSER = "skipped: no Chromium here (install the package chromium, or name one in ZEPH_CHROMIUM)";

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM ?? "",
    // Inside a container there are no namespaces for its sandbox; everything opened is on loopback.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"],
  });
}
