import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AxeResults } from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Looks, openContext, openPage, PATIENT, type WatchedPage } from "./browser.ts";
import { type FixtureServer, startFixture } from "./fixture-server.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Screenshots, for whoever wants to look; CI keeps them. */
const ARTIFACTS = fileURLToPath(new URL("../../coverage/page/", import.meta.url));

/** Every page, and what is there once it is drawn. */
const PLACES: readonly (readonly [name: string, path: string, there: string])[] = [
  ["chat", "#/chat/c0", ".facts"],
  ["requests", "#/requests/r5", ".story h3"],
  ["money", "#/money", ".plot rect"],
  ["network", "#/network", "#escrows"],
  ["compare", "#/compare", ".compare-form"],
];

/** The name of what has the focus, and whether that is seen; null at the end of the page. */
const FOCUSED = `(() => {
  const element = document.activeElement;
  if (element === document.body) return null;
  const isMarked = getComputedStyle(element).outlineStyle !== "none" || element.matches("textarea");
  return (isMarked ? "" : "unmarked ") + (element.getAttribute("aria-label") ?? element.textContent.trim());
})()`;

/** The tests of the pages whose numbers are scripted. They share the browser of the tests that call them. */
export function testPagesBesideTheChat(browser: () => Browser): void {
  describe("every page, over scripted numbers", () => {
    let fixture: FixtureServer;
    /** Holds the session that the link gave. */
    let profile: BrowserContext;
    const opened: WatchedPage[] = [];
    beforeAll(async () => {
      fixture = await startFixture();
      profile = await openContext(browser());
      const { page } = await openPage(profile, fixture.origin);
      await page.goto(`${fixture.origin}/#token=once`);
      await page.getByLabel("Your question").waitFor();
      await page.close();
    }, PATIENT.timeout);
    afterAll(async () => {
      await fixture.close();
      expect(fixture.calls.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    }, PATIENT.timeout);
    afterEach(async () => {
      for (const each of opened.splice(0)) {
        await each.page.close();
        expect(each.wrong).toEqual([]);
      }
    }, PATIENT.timeout);
    async function look(path: string, { locale, ...options }: Looks = {}): Promise<Page> {
      const context =
        locale === undefined
          ? profile
          : await openContext(browser(), { storageState: await profile.storageState(), locale });
      const one = await openPage(context, fixture.origin, options);
      opened.push(one);
      await one.page.goto(`${fixture.origin}/${path}`);
      return one.page;
    }

    it("tells yesterday's cost and the slowest model at first sight, in the reader's numbers", async () => {
      const page = await look("#/money", { locale: "de-DE" });
      const tile = (name: string) => page.locator(".tile", { has: page.getByText(name, { exact: true }) });
      await tile("Yesterday").waitFor();
      const euros = fixture.yesterday().usd.toFixed(2).replace(".", ",");
      expect(await tile("Yesterday").locator(".tile-value").textContent()).toBe(`${euros}\u00a0$`);
      expect(await tile("Slowest model").textContent()).toMatch(/MiniMax-M2\.7.*7,1/);
      expect(await tile("Left today").textContent()).toContain("3,64");
    });

    it("plots use over time, read with the arrow keys and as a table, and gives it as CSV", async () => {
      const page = await look("#/money");
      const plot = page.getByRole("group", { name: /^USD, last 30 days/ });
      await plot.locator("rect").first().waitFor();
      await plot.focus();
      await page.keyboard.press("ArrowLeft");
      await page.locator(".readout b").waitFor();
      const last = await page.locator(".readout").textContent();
      await page.keyboard.press("ArrowLeft");
      await expect.poll(() => page.locator(".readout").textContent(), PATIENT).not.toBe(last);
      await page.getByText("Hours", { exact: true }).click();
      await page.getByText("Client", { exact: true }).click();
      await page.getByLabel("Show").selectOption("p95");
      await page
        .getByRole("group", { name: /^Latency p95, last 24 hours/ })
        .locator("circle")
        .first()
        .waitFor();
      await page.getByText("These figures as a table").click();
      const figures = page.getByRole("table", { name: "Latency p95 per hour" });
      expect(await figures.getByRole("row").count()).toBe(25);
      expect(await page.getByRole("link", { name: "CSV" }).getAttribute("href")).toBe(
        "/page/api/usage.csv?by=hour&steps=24&split=client",
      );
      const totals = page.getByRole("table", { name: /^Use by client/ });
      await totals.getByRole("button", { name: "p95" }).click();
      const head = totals.getByRole("columnheader", { name: "p95" });
      await expect.poll(() => head.getAttribute("aria-sort"), PATIENT).toBe("descending");
      expect(await totals.getByRole("rowheader").first().textContent()).toBe("zeph page");
    });

    it("shows requests while they pass, and the story of one", async () => {
      const page = await look("#/requests");
      await page.getByText("live", { exact: true }).waitFor();
      const table = page.getByRole("table", { name: "Requests, newest first" });
      fixture.pass({ id: "now", client: "curl/8.5", phase: "open" });
      await table.getByText("curl/8.5").waitFor();
      fixture.pass({ id: "now", client: "curl/8.5", phase: "done", status: 200, totalMs: 1234 });
      await table.getByRole("row", { name: /curl\/8\.5.*200.*1\.2/ }).waitFor();
      await page.getByLabel("only failures").check();
      await expect.poll(() => table.getByRole("row").count(), PATIENT).toBe(4);
      await table.getByRole("link").first().click();
      await page.getByRole("heading", { name: "What happened" }).waitFor();
      expect(await page.getByRole("alert").textContent()).toContain("zeph use");
      await page.goBack();
      await page.getByRole("heading", { name: "What happened" }).waitFor({ state: "detached" });
      await page.getByLabel(/keep prompts/).check();
      await expect
        .poll(() => fixture.calls.at(-1), PATIENT)
        .toMatchObject({ path: "requests/prompts", body: { keep: true } });
    });

    it("puts prices side by side, and measures the nodes", async () => {
      const page = await look("#/network");
      const prices = page.getByRole("table", { name: "Models and their prices by provider" });
      expect(await prices.getByRole("row").nth(1).textContent()).toMatch(
        /Qwen3.*\$0\.10 · \$0\.35 \(lowest\).*\$0\.14/,
      );
      await page.getByRole("button", { name: "Measure now" }).click();
      await page.getByRole("table", { name: "Nodes and their state" }).getByText("11 ms").first().waitFor();
      expect(await page.getByRole("table", { name: "Escrows and their state" }).textContent()).toMatch(
        /12\.5.*341 of 1,000/,
      );
    });

    it("asks two models the same question", async () => {
      const page = await look("#/compare");
      await page.getByLabel("The question for all").fill("Which is quicker?");
      await page.getByRole("button", { name: "Compare" }).click();
      await page.getByText("Answer 2.").waitFor();
      await expect
        .poll(() => page.locator(".run .best").allTextContents(), PATIENT)
        .toEqual(
          ["300 ms (best)", "2.1 s (best)", "71.4 (best)", "$0.0003 (best)"].map((text) =>
            text.replace(" ms", "\u00a0ms").replace(" s", "\u00a0s"),
          ),
        );
    });

    it("works with the keyboard alone", async () => {
      const page = await look("#/chat");
      await page.getByLabel("Your question").waitFor();
      await page.locator(".chats li").first().waitFor();
      // As far as the focus goes, it is seen and has a name.
      const seen: string[] = [];
      await page.evaluate("document.activeElement.blur()");
      let rounds = 0;
      for (let press = 0; press < 60 && rounds < 2; press++) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate<string | null>(FOCUSED);
        if (at === null) rounds++;
        else seen.push(at);
      }
      expect(seen).toEqual(
        expect.arrayContaining(["To the content", "Chat", "New conversation", "Search conversations", "Your question"]),
      );
      expect(seen.filter((name) => name.startsWith("unmarked") || name === "")).toEqual([]);
      await page.getByRole("button", { name: /^Model: / }).focus();
      await page.keyboard.press("Enter");
      await page.getByLabel("Find a model").waitFor();
      await page.keyboard.type("kimi");
      await expect.poll(() => page.locator(".model").count(), PATIENT).toBe(3);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: /^Model: Kimi-K2\.6/ }).waitFor();
      await page.getByLabel("Your question").focus();
      await page.keyboard.type("slow");
      await page.keyboard.press("Enter");
      await page.getByText("One", { exact: true }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByText("Stopped here.").waitFor();
      await expect.poll(() => fixture.stopped, PATIENT).toBe(1);
    });

    it("sends images to a model that takes them, and offers none to one that does not", async () => {
      const page = await look("#/chat");
      expect(await page.getByRole("button", { name: "Image" }).isDisabled()).toBe(true);
      await page.getByRole("button", { name: /^Model: / }).click();
      await page.getByRole("button", { name: /Kimi/ }).first().click();
      const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
      await page
        .locator('input[type="file"]')
        .setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: Buffer.from(pixel, "base64") });
      await page.getByAltText("dot.png").waitFor();
      await page.getByLabel("Your question").fill("What is this?");
      await page.keyboard.press("Enter");
      await page.getByAltText("Image 1 of the question").waitFor();
      await expect
        .poll(() => fixture.calls.findLast(({ path }) => path === "chat")?.body, PATIENT)
        .toMatchObject({ parts: [{ type: "image", dataUrl: `data:image/png;base64,${pixel}` }, { type: "text" }] });
    });

    it.each([
      [360, "dark"],
      [800, "light"],
      [1440, "light"],
    ] as const)("fits into %s px, keeps nobody out and does it in %s", async (width, colorScheme) => {
      const page = await look("#/chat", { colorScheme, viewport: { width, height: width === 360 ? 740 : 900 } });
      await page.getByLabel("Your question").waitFor();
      // Through the debugger, as the content policy lets no other script in.
      await page.evaluate(AXE);
      const found: unknown[] = [];
      for (const [name, path, there] of PLACES) {
        await page.goto(`${fixture.origin}/${path}`);
        await page.locator(there).first().waitFor();
        await page.screenshot({ path: join(ARTIFACTS, `${name}-${width}.png`) });
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
        if (width === 800) continue;
        const { violations } = await page.evaluate<AxeResults>("axe.run({ resultTypes: ['violations'] })");
        for (const { id, nodes } of violations) {
          found.push({ name, id, at: nodes.map(({ target, failureSummary }) => [target, failureSummary]) });
        }
      }
      expect(found).toEqual([]);
    });
  });
}
