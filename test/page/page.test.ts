import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { testPagesBesideTheChat } from "./beside-the-chat.ts";
import { CHROMIUM, type Looks, openBrowser, openContext, openPage, PATIENT, type WatchedPage } from "./browser.ts";
import { HOSTILE_ANSWER, SAMPLE_ANSWER } from "./fixture-server.ts";
import { type Served, serveOverSandbox } from "./served.ts";

const NAME = CHROMIUM
  ? "the page in Chromium"
  : "the page in Chromium (skipped: none is installed; install the package chromium, or name one in ZEPH_CHROMIUM)";

it("weighs less than 200 KB, compressed, with all its pages and languages", () => {
  const folder = fileURLToPath(new URL("../../page/", import.meta.url));
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(?:js|css|html|svg)$/.test(name),
  );
  const sizes = files.map((name) => gzipSync(readFileSync(join(folder, name)), { level: 9 }).length);
  expect(files).toEqual(expect.arrayContaining(["index.html", "lib/preact.js"]));
  expect(sizes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(200_000);
});

describe.skipIf(CHROMIUM === undefined)(NAME, PATIENT, () => {
  let browser: Browser;
  let served: Served;
  /** Holds the session that the link gave. */
  let profile: BrowserContext;
  let watched: WatchedPage;
  const opened: WatchedPage[] = [];

  beforeAll(async () => {
    [browser, served] = await Promise.all([openBrowser(), serveOverSandbox()]);
    served.script.usual = SAMPLE_ANSWER;
    served.script.answers.set("hostile", HOSTILE_ANSWER);
    profile = await openContext(browser);
    watched = await openPage(profile, served.origin);
    await watched.page.goto(served.link);
    await watched.page.getByLabel("Your question").waitFor();
  }, PATIENT.timeout);
  afterAll(async () => {
    await browser.close();
    await served.stop();
  }, PATIENT.timeout);
  afterEach(async () => {
    for (const each of opened.splice(0)) {
      await each.page.close();
      expect(each.wrong).toEqual([]);
    }
  }, PATIENT.timeout);

  async function open(path = "#/chat", looks: Looks = {}): Promise<Page> {
    const one = await openPage(profile, served.origin, looks);
    opened.push(one);
    await one.page.goto(`${served.origin}/${path}`);
    return one.page;
  }
  async function ask(page: Page, question: string): Promise<void> {
    await page.getByLabel("Your question", { exact: true }).fill(question);
    await page.keyboard.press("Enter");
  }
  const lastAnswer = (page: Page) => page.locator(".answer").last();
  const done = (page: Page, count = 1) =>
    page
      .locator('.answer[aria-busy="false"] .facts')
      .nth(count - 1)
      .waitFor();

  describe("the link", () => {
    it("opens a session and leaves the address", async () => {
      expect(watched.page.url()).toBe(`${served.origin}/#/chat`);
      const [cookie] = await watched.page.context().cookies();
      expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", expires: -1 });
      expect(watched.wrong).toEqual([]);
    });

    it("works once, and the page says how to get another", async () => {
      const stranger = await openPage(await openContext(browser), served.origin, { expected: /401/ });
      opened.push(stranger);
      await stranger.page.goto(served.link);
      await stranger.page.getByRole("heading", { name: "This page needs a new link" }).waitFor();
      expect(await stranger.page.locator("pre").textContent()).toBe("zeph open");
    });

    it("helps no page of another address, although it is the same computer", async () => {
      const own = await open();
      await own.getByLabel("Your question").waitFor();
      const elsewhere = createServer((_, response) =>
        response.setHeader("content-type", "text/html").end("<p>elsewhere"),
      );
      await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
      const { port } = elsewhere.address() as AddressInfo;
      const asked = served.script.asked.length;
      const thief = await openPage(profile, `http://127.0.0.1:${port}`, { expected: /./ });
      opened.push(thief);
      await thief.page.goto(`http://127.0.0.1:${port}/`);
      const outcomes = await thief.page.evaluate(async (origin) => {
        const body = JSON.stringify({ parts: [{ type: "text", text: "stolen" }] });
        const headers = { "x-zeph-page": "1", "content-type": "application/json" };
        const attempts: [string, RequestInit][] = [
          ["state", {}],
          ["chat", { method: "POST", body, headers }],
          ["chat", { method: "POST", body, mode: "no-cors" }],
        ];
        return Promise.all(
          attempts.map(([path, init]) =>
            fetch(`${origin}/page/api/${path}`, { credentials: "include", ...init }).then(
              (response) => response.text(),
              () => "refused",
            ),
          ),
        );
      }, served.origin);
      expect(outcomes).toEqual(["refused", "refused", "refused"]);
      expect(served.script.asked.length).toBe(asked);
      // A name that leads here (rebinding) is no name of this computer.
      const answer = await thief.page.goto(served.origin.replace("127.0.0.1", "evil.example"));
      expect(answer?.status()).toBeGreaterThanOrEqual(400);
      expect(await thief.page.content()).not.toContain("/page/main.js");
      elsewhere.closeAllConnections();
      elsewhere.close();
    });

    it("never shows the endpoint's key to the page", async () => {
      const page = await open();
      const texts: string[] = [];
      page.on("response", async (response) => texts.push(await response.text().catch(() => "")));
      for (const name of ["Requests", "Money", "Network", "Compare", "Chat"])
        await page.getByRole("link", { name, exact: true }).click();
      await page.getByLabel("Your question").waitFor();
      texts.push(await page.content());
      expect(
        texts.filter((text) => text.includes(served.localKey) || text.includes(served.sandbox.broker.keys.good)),
      ).toEqual([]);
    });
  });

  describe("a conversation", () => {
    it("streams an answer as Markdown, with code, copy buttons and what it took", async () => {
      const page = await open();
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await page.getByRole("button", { name: /^Model: / }).click();
      await page.getByLabel("Find a model").fill("thinker");
      await page.getByRole("button", { name: /sandbox\/thinker-1/ }).click();
      await page.getByRole("button", { name: /^System/ }).click();
      await page.getByLabel("System text", { exact: true }).last().fill("Answer in short.");
      await page.getByRole("button", { name: "Done" }).click();
      await ask(page, "How does it work?");
      await done(page);
      const answer = lastAnswer(page);
      expect(await answer.locator("ol > li").count()).toBe(3);
      expect(await answer.getByRole("row").count()).toBe(3);
      await answer.locator(".t-kwd").first().waitFor();
      expect(await answer.locator(".reasoning").getAttribute("open")).toBeNull();
      await answer.getByText("Thought before answering").click();
      expect(await answer.locator(".reasoning p").textContent()).toBe("The short version is enough.");
      expect(await answer.locator(".facts").textContent()).toMatch(
        /thinker-1 · box.*1,214 → 356 tokens.*\$0\.0005.*first word after .*in all/,
      );
      await answer.getByRole("button", { name: "Copy this code" }).click();
      await page.getByText("Copied").first().waitFor();
      expect(await page.evaluate("navigator.clipboard.readText()")).toContain("def settle(");
      expect(served.script.asked.at(-1)?.messages[0]).toEqual({ role: "system", content: "Answer in short." });
      expect(page.url()).toMatch(/#\/chat\/[\w-]+$/);
      expect(await served.run("chats")).toContain("How does it work?");
    });

    it("is stopped, asked again, changed and asked again", async () => {
      const page = await open();
      await ask(page, "slow");
      await lastAnswer(page).getByText("One").waitFor();
      await served.script.standing();
      await page.getByRole("button", { name: "Stop" }).click();
      await page.getByText("Stopped here.").waitFor();
      expect(await lastAnswer(page).locator(".markdown").textContent()).toBe("One ");
      await expect.poll(() => served.script.stopped, PATIENT).toBe(1);
      await page.getByRole("button", { name: "Retry" }).click();
      await served.script.standing();
      for (let word = 0; word < 3; word++) {
        await served.script.standing();
        served.script.step();
      }
      await done(page);
      expect(await lastAnswer(page).locator(".markdown").textContent()).toBe("One two three.");
      await page.locator(".exchange").hover();
      await page.getByRole("button", { name: "Edit" }).click();
      await page.getByLabel("Your question, changed").fill("Something else");
      await page.getByRole("button", { name: "Send again" }).click();
      await lastAnswer(page).getByText("decentralized").waitFor();
      await done(page);
      expect(await page.locator(".exchange").count()).toBe(1);
      await page.reload();
      await done(page);
      expect(await page.locator(".bubble").allTextContents()).toEqual(["Something else"]);
    });

    it("tells of a refusal in the terminal's words, and what to do next", async () => {
      const page = await open("#/chat", { expected: /status of 4|status of 5/ });
      served.sandbox.broker.faults.next({ kind: "status", status: 402, on: "/chat/completions" });
      await ask(page, "refused");
      const alert = page.getByRole("alert");
      await alert.waitFor();
      expect(await alert.textContent()).toMatch(/balance|quota|credit|money/i);
      await alert.getByRole("button", { name: "Try again" }).click();
      await lastAnswer(page).getByText("decentralized").waitFor();
      await done(page);
      expect(await page.locator(".exchange").count()).toBe(1);
    });

    it("keeps what came when the page is reloaded in the middle", async () => {
      const page = await open();
      await ask(page, "please, slow");
      await lastAnswer(page).getByText("One").waitFor();
      await served.script.standing();
      const { stopped } = served.script;
      await page.reload();
      await page.locator(".bubble").waitFor();
      await expect.poll(() => served.script.stopped, PATIENT).toBe(stopped + 1);
      await expect
        .poll(async () => {
          await page.reload();
          await page.locator(".bubble").waitFor();
          return page.locator(".answer").textContent();
        }, PATIENT)
        .toMatch(/One.*(?:Stopped|broke off) here/);
    });

    it("is found, renamed, exported and deleted, in two tabs at once", async () => {
      const page = await open();
      await ask(page, "Which river is longest?");
      await done(page);
      const other = await page.context().newPage();
      await other.goto(page.url());
      await done(other);
      await page.bringToFront();
      await page.getByLabel("This conversation").click();
      await page.getByRole("button", { name: "Rename" }).click();
      await page.getByLabel("Title").fill("Rivers of the world");
      await page.keyboard.press("Enter");
      await other.getByRole("heading", { name: "Rivers of the world" }).waitFor();
      await other.getByLabel("Search conversations").fill("rivers of");
      await expect.poll(() => other.locator(".chats li").count(), PATIENT).toBe(1);
      await page.getByLabel("This conversation").click();
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByText("Export as Markdown").click(),
      ]);
      expect(download.suggestedFilename()).toMatch(/\.md$/);
      await page.getByLabel("This conversation").click();
      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText("What would you like to know?").waitFor();
      await other.getByText("What would you like to know?").waitFor();
      await expect.poll(() => other.locator(".chats li").count(), PATIENT).toBe(0);
    });

    it("keeps an answer going while another page is looked at, and Back leads there", async () => {
      const page = await open();
      await ask(page, "once more, slow");
      await lastAnswer(page).getByText("One").waitFor();
      await page.getByRole("link", { name: "Requests" }).click();
      await page.getByText("live", { exact: true }).waitFor();
      for (let word = 0; word < 3; word++) {
        await served.script.standing();
        served.script.step();
      }
      await page.goBack();
      await lastAnswer(page).getByText("One two three.").waitFor();
      await page.goForward();
      await page.getByText("live", { exact: true }).waitFor();
    });

    it("is harmless, whatever a model writes", async () => {
      const page = await open();
      await ask(page, "hostile");
      await done(page);
      const answer = lastAnswer(page).locator(".markdown");
      await answer.locator("pre .t-type, pre .t-var, pre .t-kwd, pre .t-oper").first().waitFor();
      expect(await page.evaluate("window.harmed")).toBeUndefined();
      expect(
        await answer.locator("script, img, svg, iframe, style, base, object, embed, form, [onload], [onerror]").count(),
      ).toBe(0);
      const links = await answer
        .locator("a")
        .evaluateAll((all) =>
          all.map((each) => [each.getAttribute("href"), each.getAttribute("rel"), each.getAttribute("target")]),
        );
      expect(links.map(([href]) => href)).toEqual([
        "https://example.com/?a=1&b=2",
        "http://127.0.0.1:9/spy.png?q=secret",
      ]);
      expect(links.every(([, rel, target]) => rel === "noopener noreferrer nofollow" && target === "_blank")).toBe(
        true,
      );
      expect(await answer.textContent()).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
      expect(await answer.textContent()).toContain("<script>window.harmed = 'script'</script>");
      // Colours for such a line would take the square of its length.
      expect(await answer.locator("pre", { hasText: "$$$$" }).locator("span").count()).toBe(0);
      await page.reload();
      await done(page);
      expect(await page.evaluate("window.harmed")).toBeUndefined();
    });
  });

  testPagesBesideTheChat(() => browser);
});
