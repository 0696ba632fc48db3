import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { MockLanguageModelV3 } from "ai/test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ChatTerminalOptions, chatTerminal } from "../../../test/support/chat-terminal.ts";
import {
  answerOf,
  finishPart,
  type MockSessionOptions,
  mockModel,
  mockSession,
  reasoningParts,
  streamOf,
  textParts,
} from "../../../test/support/mock-chat-session.ts";
import { systemClock } from "../../base/time.ts";
import type { CliContext } from "../../base/world.ts";
import { conversationStore, conversationsFolder } from "../../chat/conversations.ts";
import { type ChatModelListing, type ChatSession, UNKNOWN_USAGE } from "../../chat/session.ts";
import { ZephError } from "../../errors.ts";
import { type AskFlags, isConversation, type ReplDependencies, runAsk, runChat } from "./ask.ts";

describe("ask", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "zeph-ask-"));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const PRICING = { promptUsdPer1M: 0.5, completionUsdPer1M: 0.5 };

  interface Case {
    readonly flags?: AskFlags;
    readonly terminal?: Partial<ChatTerminalOptions>;
    readonly session?: Partial<MockSessionOptions>;
    readonly maxDailyCents?: number;
  }

  async function ask({ flags = { prompt: ["Hi"] }, terminal = {}, session = {}, maxDailyCents }: Case) {
    const model = session.model ?? mockModel([answerOf("Hello there", { input: 12, output: 48, costUsd: 0.00031 })]);
    const choices: unknown[] = [];
    const cli = chatTerminal({ folder, piped: "", ...terminal });
    const exitCode = runAsk(cli.context, flags, {
      openSession: async (choice) => {
        choices.push(choice);
        return mockSession({ ...session, model });
      },
      stateFolder: folder,
      ...(maxDailyCents === undefined ? {} : { maxDailyCents }),
    });
    return { ...cli, exitCode, model: model as ReturnType<typeof mockModel>, choices };
  }

  describe("zeph ask", () => {
    it("prints the answer and one line feed on standard output, everything else on standard error", async () => {
      const { exitCode, stdout, stderr } = await ask({});
      expect(await exitCode).toBe(0);
      expect(stdout.text).toBe("Hello there\n");
      expect(stderr.text).toBe("12 in · 48 out · $0.00031 · 0.0 s\n");
    });

    it("sends files as text and images as images", async () => {
      await writeFile(join(folder, "note.txt"), "from a file\n");
      await writeFile(join(folder, "shot.png"), Buffer.from("89504e470d0a1a0a", "hex"));
      const flags = { prompt: ["look"], file: ["note.txt"], attach: ["shot.png"] };
      const { exitCode, model } = await ask({ flags });
      expect(await exitCode).toBe(0);
      const content = model.doStreamCalls[0]?.prompt[0]?.content;
      expect(content).toMatchObject([
        { type: "file", mediaType: "image/png", data: "iVBORw0KGgo=" },
        { type: "text", text: "look\n\nnote.txt:\n\n```\nfrom a file\n```" },
      ]);
    });

    it("sends no image to a model that is listed as one without", async () => {
      await writeFile(join(folder, "shot.png"), Buffer.from("89504e470d0a1a0a", "hex"));
      const models = [
        { id: "owner/model-a", images: false },
        { id: "owner/seeing", images: true },
      ];
      const { exitCode, model } = await ask({ flags: { prompt: ["look"], attach: ["shot.png"] }, session: { models } });
      await expect(exitCode).rejects.toMatchObject({
        code: "unsupported_capability",
        detail: "testbroker lists owner/model-a as a model that takes no images; nothing was sent",
        hint: "These take them: owner/seeing. Choose one with -m.",
      });
      expect(model.doStreamCalls).toEqual([]);
    });

    it("ends the answer in exactly one line feed, whatever the model sends", async () => {
      const { exitCode, stdout } = await ask({ session: { model: mockModel([answerOf("\n\nx\n\n y \n\n")]) } });
      await exitCode;
      expect(stdout.text).toBe("x\n\n y\n");
    });

    it("gives a pipe every sign, a terminal none that could harm it", async () => {
      const session = { model: mockModel([answerOf("a\u001b[31mb")]) };
      const piped = await ask({ session });
      await piped.exitCode;
      expect(piped.stdout.text).toBe("a\u001b[31mb\n");
      const shown = await ask({ session, terminal: { screens: true } });
      await shown.exitCode;
      expect(shown.stdout.text).toBe("a␛[31mb\n");
    });

    it("renders Markdown on a terminal with colour only", async () => {
      const session = { model: mockModel([answerOf("**bold**")]) };
      const colored = await ask({ session, terminal: { screens: true, color: true } });
      const plain = await ask({ session, terminal: { screens: true, color: false } });
      await Promise.all([colored.exitCode, plain.exitCode]);
      expect(colored.stdout.text).toBe("\u001b[1mbold\u001b[0m\n");
      expect(plain.stdout.text).toBe("**bold**\n");
    });

    it.each([
      [{ prompt: ["why", "is", "it"] }, "", "why is it"],
      [{}, "piped text\n", "piped text"],
      [{ prompt: ["summarise"] }, "the text\n", "summarise\n\nthe text"],
    ])("takes words %j and input %j", async (flags, piped, question) => {
      const { exitCode, model } = await ask({ flags, terminal: { piped } });
      await exitCode;
      expect(model.doStreamCalls[0]?.prompt.at(-1)?.content).toEqual([{ type: "text", text: question }]);
    });

    it("passes its flags on", async () => {
      const flags = {
        prompt: ["x"],
        model: "m",
        provider: "p",
        system: "s",
        maxTokens: "7",
        temperature: "0.5",
      };
      const { exitCode, model, choices } = await ask({ flags });
      await exitCode;
      expect(choices).toEqual([{ provider: "p", model: "m" }]);
      expect(model.doStreamCalls[0]).toMatchObject({ maxOutputTokens: 7, temperature: 0.5 });
      expect(model.doStreamCalls[0]?.prompt[0]).toMatchObject({ role: "system", content: "s" });
    });

    it.each([
      [{ prompt: ["x"], maxTokens: "0" }, "usage", "--max-tokens"],
      [{ prompt: ["x"], maxTokens: "ten" }, "usage", "--max-tokens"],
      [{ prompt: ["x"], temperature: "3" }, "usage", "--temperature"],
      [{}, "missing_input", "the question"],
    ])("refuses %j before anything is sent", async (flags, code, detail) => {
      const { exitCode, choices } = await ask({ flags });
      await expect(exitCode).rejects.toMatchObject({ code, detail: expect.stringContaining(detail) });
      expect(choices).toEqual([]);
    });

    it("refuses input that is no text", async () => {
      const { exitCode } = await ask({ flags: {}, terminal: { piped: Buffer.from([0x7f, 0, 1]) } });
      await expect(exitCode).rejects.toMatchObject({ code: "usage" });
    });

    it("shows thoughts on a terminal's standard error, and hides them when told or when there is none", async () => {
      const session = { model: mockModel([[...reasoningParts("secret thought"), ...textParts("ok"), finishPart()]]) };
      const screens = { screens: true };
      const shown = await ask({ session, terminal: screens });
      const hidden = await ask({ session, terminal: screens, flags: { prompt: ["x"], hideReasoning: true } });
      const piped = await ask({ session });
      await Promise.all([shown.exitCode, hidden.exitCode, piped.exitCode]);
      expect(shown.stderr.text).toContain("secret thought");
      expect(hidden.stderr.text).not.toContain("secret thought");
      expect(piped.stderr.text).not.toContain("secret thought");
      for (const { stdout } of [shown, hidden, piped]) expect(stdout.text).toBe("ok\n");
    });

    it("keeps what arrived when the answer is cut, and throws what happened", async () => {
      const error = new ZephError("stream_cut");
      const session = { model: mockModel([[...textParts("Half an "), { type: "error", error }]]) };
      const { exitCode, stdout } = await ask({ session });
      await expect(exitCode).rejects.toBe(error);
      expect(stdout.text).toBe("Half an\n");
    });

    it("tells at once that another provider is asked, apart from the answer, and waits in its name", async () => {
      const cli = chatTerminal({ folder });
      const text = "first: The endpoint could not be reached. Asking second (owner/model-b) instead";
      const standIn = { providerName: "second", modelId: "owner/model-b", pricing: PRICING };
      const model = new MockLanguageModelV3({
        doStream: async () => {
          session.emit({ type: "notice", text, standIn });
          await cli.clock.advance(1_000);
          return streamOf(answerOf("Hello there", { input: 10, output: 10 }));
        },
      });
      const session = mockSession({ model });
      await runAsk(cli.context, { prompt: ["Hi"] }, { openSession: async () => session, stateFolder: folder });
      expect(cli.stderr.text).toMatch(
        /^! first: The endpoint could not be reached\. Asking second \(owner\/model-b\)\n {2}instead\n/,
      );
      expect(cli.stderr.text).toContain("waiting for second … 1.0 s");
      expect(cli.stderr.text).toMatch(/\u001b\[2K\n\n10 in · 10 out · \$0\.000010 · 1\.0 s\n$/);
    });

    it("ends with 130 on Ctrl-C, what arrived stays", async () => {
      const session = { model: mockModel([streamOf(textParts("Once upon "), "hang")]) };
      const { exitCode, stdout, interrupt } = await ask({ session });
      await stdout.waitFor("Once upon");
      interrupt.abort();
      expect(await exitCode).toBe(130);
      expect(stdout.text).toBe("Once upon\n");
    });

    it("stops at the daily limit, counting what earlier runs spent", async () => {
      const model = mockModel([answerOf("x", { input: 1, output: 1, costUsd: 0.2 })]);
      const first = await ask({ session: { model }, maxDailyCents: 10 });
      expect(await first.exitCode).toBe(0);
      const second = await ask({ session: { model }, maxDailyCents: 10 });
      await expect(second.exitCode).rejects.toMatchObject({ code: "budget_reached", exitCode: 14 });
      expect(model.doStreamCalls).toHaveLength(1);
      expect(await readFile(join(folder, "spent.jsonl"), "utf8")).toContain('"usd":0.2');
    });
  });

  describe("zeph ask --json", () => {
    const json = { json: true };

    it("prints one object and nothing else", async () => {
      const { exitCode, stdout, stderr } = await ask({ terminal: json });
      expect(await exitCode).toBe(0);
      expect(stderr.text).toBe("");
      expect(JSON.parse(stdout.text)).toEqual({
        ok: true,
        data: {
          text: "Hello there",
          model: "owner/model-a",
          provider: "testbroker",
          usage: { input: 12, output: 48, cached: null, reasoning: null },
          costUsd: 0.00031,
          costNgonka: null,
          elapsedMs: 0,
          firstByteMs: 0,
          finishReason: "stop",
        },
      });
    });

    it("says null, not 0, for a cost nobody told", async () => {
      const session = { model: mockModel([answerOf("x")]) };
      const { exitCode, stdout } = await ask({ terminal: json, session });
      await exitCode;
      expect(JSON.parse(stdout.text).data.costUsd).toBeNull();
    });

    it("throws an error of an answer that has no text, and keeps the text of one that has", async () => {
      const refused = new ZephError("invalid_api_key");
      const none = await ask({ terminal: json, session: { model: mockModel([refused]) } });
      await expect(none.exitCode).rejects.toBe(refused);
      const error = new ZephError("stream_cut");
      const session = { model: mockModel([[...textParts("Half"), { type: "error" as const, error }]]) };
      const half = await ask({ terminal: json, session });
      expect(await half.exitCode).toBe(10);
      expect(JSON.parse(half.stdout.text)).toMatchObject({
        ok: false,
        error: { code: "stream_cut" },
        data: { text: "Half" },
      });
    });
  });
});

describe("chat", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "zeph-chat-"));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  interface Start {
    readonly model?: ReturnType<typeof mockModel>;
    readonly models?: readonly ChatModelListing[];
    readonly sessions?: (choice: Parameters<ReplDependencies["openSession"]>[0]) => ChatSession;
    readonly dependencies?: Partial<ReplDependencies>;
    readonly flags?: AskFlags;
    readonly env?: Readonly<Record<string, string>>;
  }

  /** A chat in a terminal that the test types into. */
  function start({
    model = mockModel([answerOf("Hello", { input: 1, output: 2 })]),
    models,
    sessions,
    dependencies,
    flags = {},
    env = {},
  }: Start = {}) {
    const cli = chatTerminal({ folder });
    const opened: unknown[] = [];
    const exitCode = runChat({ ...cli.context, env, platform: "linux" }, flags, {
      openSession: async (choice) => {
        opened.push(choice);
        return sessions?.(choice) ?? mockSession({ model, ...(models === undefined ? {} : { models }) });
      },
      stateFolder: folder,
      ...dependencies,
    });
    return {
      ...cli,
      exitCode,
      model,
      opened,
      /** Waits for the prompt (or other words), then types. */
      async type(keys: string, after = "› ") {
        await cli.stderr.waitFor(after);
        cli.keyboard.write(keys);
      },
      screen: () => stripVTControlCharacters(cli.stderr.text),
    };
  }

  const ENTER = "\r";
  const CTRL_C = "\u0003";
  const CTRL_D = "\u0004";
  const UP = "\u001b[A";

  const questionsOf = (model: ReturnType<typeof mockModel>) =>
    model.doStreamCalls.map(({ prompt }) => {
      const [part] = prompt.at(-1)?.content ?? [];
      return typeof part === "object" && part.type === "text" ? part.text : undefined;
    });

  describe("zeph chat", () => {
    it("answers, tells usage, goes on, and leaves with Ctrl-D and the total", async () => {
      const model = mockModel([answerOf("one", { input: 1, output: 2, costUsd: 0.001 }), answerOf("two", {})]);
      const chat = start({ model });
      await chat.type(`first${ENTER}`);
      await chat.type(`second${ENTER}`);
      await chat.type(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(chat.stdout.text).toBe("one\ntwo\n");
      expect(chat.screen()).toContain("testbroker · owner/model-a");
      expect(chat.screen()).toContain("1 in · 2 out · $0.0010 · 0.0 s");
      expect(chat.screen()).toContain("2 answers · 1 in · 2 out · $0.0010 and 1 answer of unknown cost");
      expect(questionsOf(model)).toEqual(["first", "second"]);
    });

    it("stops an answer at Ctrl-C, keeps its text, and leaves at the second with 130", async () => {
      const chat = start({ model: mockModel([streamOf(textParts("Once upon "), "hang")]) });
      await chat.type(`story${ENTER}`);
      await chat.stdout.waitFor("Once upon");
      chat.keyboard.write(CTRL_C);
      await chat.stderr.waitFor("Stopped. The text so far stays in the conversation.");
      await chat.type(CTRL_C);
      expect(await chat.exitCode).toBe(130);
      expect(chat.stdout.text).toBe("Once upon\n");
    });

    it("clears a typed line at Ctrl-C, and warns before it leaves an empty one", async () => {
      const chat = start();
      await chat.type(`not this${CTRL_C}`);
      chat.keyboard.write(`but this${ENTER}`);
      await chat.stderr.waitFor("1 in · 2 out");
      await chat.type(CTRL_C);
      await chat.stderr.waitFor("Ctrl-C again, or Ctrl-D, leaves.");
      chat.keyboard.write(CTRL_C);
      expect(await chat.exitCode).toBe(130);
      expect(questionsOf(chat.model)).toEqual(["but this"]);
    });

    it("leaves in the middle of an answer at Ctrl-D, and at a signal from outside", async () => {
      const hanging = () => start({ model: mockModel([streamOf(textParts("Once "), "hang")]) });
      const byKey = hanging();
      await byKey.type(`x${ENTER}`);
      await byKey.stdout.waitFor("Once");
      byKey.keyboard.write(CTRL_D);
      expect(await byKey.exitCode).toBe(0);
      const bySignal = hanging();
      await bySignal.type(`x${ENTER}`);
      await bySignal.stdout.waitFor("Once");
      bySignal.interrupt.abort();
      expect(await bySignal.exitCode).toBe(130);
    });

    it("takes messages of several lines, and pastes, as one", async () => {
      const chat = start();
      await chat.type(`one\\${ENTER}two${ENTER}`);
      await chat.type(`"""${ENTER}three${ENTER}four"""${ENTER}`);
      await chat.type(`\u001b[200~five\nsix\n\u001b[201~ and seven${ENTER}`);
      await chat.type(`/quit${ENTER}`);
      expect(await chat.exitCode).toBe(0);
      expect(questionsOf(chat.model)).toEqual(["one\ntwo", "three\nfour", "five\nsix and seven"]);
    });

    it("drops a message of several lines at Ctrl-C", async () => {
      const chat = start();
      await chat.type(`one\\${ENTER}`);
      await chat.type(CTRL_C, "… ");
      await chat.type(`fresh${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(questionsOf(chat.model)).toEqual(["fresh"]);
    });

    it("sends what was typed while an answer arrived, without disturbing it", async () => {
      const chat = start({ model: mockModel([streamOf(textParts("slow "), "hang"), answerOf("next")]) });
      await chat.type(`first${ENTER}`);
      await chat.stdout.waitFor("slow");
      chat.keyboard.write(`second${ENTER}thi`);
      chat.keyboard.write(CTRL_C);
      await chat.stdout.waitFor("next");
      await chat.stderr.waitFor("thi");
      chat.keyboard.write(`rd${ENTER}`);
      await chat.stdout.waitFor("next");
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(questionsOf(chat.model)).toEqual(["first", "second", "third"]);
    });

    it("recalls messages of earlier runs, but no secrets", async () => {
      const first = start();
      await first.type(`remember\\${ENTER}me${ENTER}`);
      await first.type(`my key is gp-abcdefghijklmnop${ENTER}`);
      await first.type(CTRL_D);
      await first.exitCode;
      const file = join(folder, "chat-history.jsonl");
      expect(await readFile(file, "utf8")).toBe('"remember\\nme"\n');
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      const second = start();
      await second.type(`${UP}${ENTER}`);
      await second.type(CTRL_D);
      await second.exitCode;
      expect(questionsOf(second.model)).toEqual(["remember\nme"]);
    });

    it("shows an error card and stays", async () => {
      const model = mockModel([new ZephError("insufficient_quota", { hint: "Top up at example." }), answerOf("ok")]);
      const chat = start({ model });
      await chat.type(`x${ENTER}`);
      await chat.type(`/retry${ENTER}`);
      await chat.stdout.waitFor("ok");
      await chat.type(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(chat.screen()).toContain("Top up at example.");
      expect(chat.screen()).toMatch(/· 0\.0 s\n\n› /);
      expect(questionsOf(model)).toEqual(["x", "x"]);
    });

    it("tells at the start when the model is no longer offered", async () => {
      const chat = start({ models: [{ id: "owner/model-a2" }, { id: "other/thing" }] });
      await chat.stderr.waitFor("no longer offers owner/model-a. Nearest: owner/model-a2");
      chat.keyboard.write(CTRL_D);
      await chat.exitCode;
    });

    it("is one answer with a question, and with input or output that is no terminal", async () => {
      const dependencies = {
        openSession: async () => mockSession({ model: mockModel([answerOf("plain")]) }),
        stateFolder: folder,
      };
      const withQuestion = chatTerminal({ folder });
      expect(await runChat(withQuestion.context, { prompt: ["hello"] }, dependencies)).toBe(0);
      const piped = chatTerminal({ folder, piped: "hello", screens: true });
      expect(await runChat(piped.context, {}, dependencies)).toBe(0);
      for (const { stdout } of [withQuestion, piped]) expect(stdout.text).toBe("plain\n");
      const redirected = chatTerminal({ folder, screens: false });
      await expect(runChat(redirected.context, {}, dependencies)).rejects.toMatchObject({ code: "missing_input" });
    });
  });

  describe("commands of the chat", () => {
    const models = [
      { id: "owner/model-a", contextLengthTokens: 200_000, promptUsdPer1M: 0.35, completionUsdPer1M: 1.5, tools: true },
      { id: "Owner/Model-B" },
      { id: "third/thing" },
    ];

    async function run(command: string, options: Start = {}): Promise<string> {
      const chat = start({ models, ...options });
      await chat.type(`${command}${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      return chat.screen();
    }

    it.each([
      ["/model THIRD", "Now talking to third/thing."],
      ["/model model-b", "Now talking to Owner/Model-B."],
      ["/model 2", "Now talking to Owner/Model-B."],
      ["/model model-", "Several models fit: owner/model-a, Owner/Model-B."],
      ["/model zzz", "No model is called zzz here. Nearest:"],
      ["/provider", "Talking to testbroker."],
      ["/clear", "The conversation is forgotten."],
      ["/usage", "0 answers · tokens unknown · cost unknown"],
      ["/save", "There is nothing to save yet."],
      ["/retry", "Nothing was asked yet."],
      ["/reasoning off", "Thoughts of the model are hidden."],
      ["/clera", "There is no /clera. Did you mean /clear?"],
      ["/help", "/save [FILE]"],
      ["/?", "/quit"],
    ])("%s says %j", async (command, words) => expect(await run(command)).toContain(words));

    it("leaves a question in between at Ctrl-C, and nothing else", async () => {
      const chat = start({ models });
      await chat.type(`/model${ENTER}`);
      await chat.type(`mod${CTRL_C}`, "Number or name");
      await chat.type(`hello${ENTER}`);
      await chat.stderr.waitFor("1 in · 2 out");
      chat.keyboard.write(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(questionsOf(chat.model)).toEqual(["hello"]);
      expect(chat.screen()).not.toMatch(/leaves\.|No model is called/);
    });

    it("/model lists what is offered and takes a number", async () => {
      const chat = start({ models });
      await chat.type(`/model${ENTER}`);
      await chat.type(`3${ENTER}`, "(Enter keeps the model): ");
      await chat.stderr.waitFor("Now talking to third/thing.");
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(chat.screen()).toMatch(/● 1 {2}owner\/model-a\s+200K\s+0\.35\s+1\.5\s+yes/);
      expect(chat.screen()).toMatch(/2 {2}Owner\/Model-B\s+\?\s+\?\s+\?\s+\?/);
    });

    it("/retry asks without the old answer and keeps the new one only", async () => {
      const model = mockModel([answerOf("old words"), answerOf("new words"), answerOf("more")]);
      const chat = start({ model });
      await chat.type(`one${ENTER}`);
      await chat.type(`/retry${ENTER}`);
      await chat.stdout.waitFor("new words");
      await chat.type(`two${ENTER}`);
      await chat.stdout.waitFor("more");
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(model.doStreamCalls.map(({ prompt }) => prompt.length)).toEqual([1, 1, 3]);
      expect(JSON.stringify(model.doStreamCalls[2]?.prompt)).not.toContain("old words");
    });

    it.each([
      [{ stdin: { isTTY: true }, stdout: { isTTY: true }, json: false }, [], true],
      [{ stdin: {}, stdout: { isTTY: true }, json: false }, [], false],
      [{ stdin: { isTTY: true }, stdout: {}, json: false }, [], false],
      [{ stdin: { isTTY: true }, stdout: { isTTY: true }, json: true }, [], false],
      [{ stdin: { isTTY: true }, stdout: { isTTY: true }, json: false }, ["words"], false],
    ])("%j with %j is a conversation: %s", (context, prompt, expected) => {
      expect(isConversation(context as unknown as CliContext, { prompt })).toBe(expected);
    });

    it("/provider opens another one, keeps the conversation and remembers the choice", async () => {
      const remembered: string[] = [];
      const other = mockModel([answerOf("from the other")]);
      const chat = start({
        sessions: ({ provider }) =>
          provider === undefined
            ? mockSession({ model: mockModel([answerOf("from the first")]) })
            : mockSession({ model: other, providerName: provider }),
        dependencies: {
          listProviders: async () => [{ name: "testbroker" }, { name: "Second", model: "m" }],
          rememberProvider: async (name) => void remembered.push(name),
        },
      });
      await chat.type(`one${ENTER}`);
      await chat.type(`/provider second${ENTER}`);
      await chat.type(`two${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(chat.opened).toEqual([{}, { provider: "Second" }]);
      expect(remembered).toEqual(["Second"]);
      expect(other.doStreamCalls[0]?.prompt).toHaveLength(3);
    });

    it("/provider shows the error of one that cannot be opened, and stays", async () => {
      const screen = await run("/provider nowhere", {
        sessions: ({ provider }) => {
          if (provider !== undefined) throw new ZephError("provider_not_found", { detail: provider });
          return mockSession({ model: mockModel([answerOf("x")]) });
        },
      });
      expect(screen).toContain("No provider of this name is configured");
    });

    it("/save writes a private transcript, and never over a file that was there", async () => {
      await writeFile(join(folder, "mine.md"), "precious");
      const chat = start();
      await chat.type(`hi${ENTER}`);
      await chat.type(`/save talk.md${ENTER}`);
      await chat.type(`/save talk.md${ENTER}`);
      await chat.type(`/save mine.md${ENTER}`);
      await chat.type(`/save${ENTER}`);
      await chat.type(`/save no/such/folder.md${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(await readFile(join(folder, "talk.md"), "utf8")).toContain("## You\n\nhi\n\n## owner/model-a\n\nHello\n");
      expect((await stat(join(folder, "talk.md"))).mode & 0o777).toBe(0o600);
      expect(await readFile(join(folder, "mine.md"), "utf8")).toBe("precious");
      expect(chat.screen().match(/Saved to/g)).toHaveLength(3);
      expect(chat.screen()).toContain("mine.md exists and was left as it is.");
      expect(chat.screen()).toContain("A file could not be written");
    });

    it("lets lines through that only look like commands", async () => {
      const chat = start();
      await chat.type(`/etc/hosts is what?${ENTER}`);
      await chat.type(` /clear is a command${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(questionsOf(chat.model)).toEqual(["/etc/hosts is what?", "/clear is a command"]);
    });

    it("completes commands and models", async () => {
      const chat = start({ models });
      await chat.type("/prov");
      chat.keyboard.write("\t");
      await chat.stderr.waitFor("/provider ");
      chat.keyboard.write(CTRL_C);
      chat.keyboard.write("/model thi");
      chat.keyboard.write("\t");
      await chat.stderr.waitFor("third/thing");
      chat.keyboard.write(CTRL_C);
      chat.keyboard.write(CTRL_D);
      await chat.exitCode;
    });
  });

  describe("conversations that are kept", () => {
    const storeIn = () =>
      conversationStore({ folder: conversationsFolder(folder), clock: systemClock, random: Math.random });

    async function keep(question: string, more: { providerName?: string; modelId?: string; system?: string } = {}) {
      const { providerName = "testbroker", modelId = "owner/model-a", system } = more;
      const keeper = storeIn().keeper();
      const facts = { providerName, modelId, usage: UNKNOWN_USAGE, costUsd: undefined };
      const exchange = {
        question,
        answer: `kept answer to ${question}`,
        reasoning: "",
        state: "finished" as const,
        ...facts,
      };
      await keeper.save({ exchanges: [exchange], system, session: { providerName, modelId } });
      return keeper.id ?? "";
    }
    const promptsOf = (model: ReturnType<typeof mockModel>) =>
      model.doStreamCalls.map(({ prompt }) => JSON.stringify(prompt));

    it("are kept after each answer, go on with --continue, and with /undo lose their last turn", async () => {
      const first = start({ dependencies: { conversations: storeIn() } });
      await first.type(`my name is Ada${ENTER}`);
      await first.type(CTRL_D);
      await first.exitCode;
      expect(await storeIn().list()).toMatchObject([{ title: "my name is Ada", exchangeCount: 1 }]);

      const second = start({ flags: { continue: true }, dependencies: { conversations: storeIn() } });
      await second.stderr.waitFor("Going on with my name is Ada");
      await second.type(`who am I?${ENTER}`);
      await second.type(`/undo${ENTER}`);
      await second.stderr.waitFor("Taken back: who am I?");
      await second.type(CTRL_D);
      await second.exitCode;
      expect(promptsOf(second.model)[0]).toMatch(/my name is Ada.*Hello.*who am I\?/);
      const all = await storeIn().list();
      expect(all).toMatchObject([{ exchangeCount: 1 }]);
      expect((await storeIn().find("last")).exchanges[0]?.answer).toBe("Hello");
    });

    it("are left by /clear, found by /load, and come back with their model and instruction", async () => {
      const id = await keep("an old one", { modelId: "owner/model-b", system: "Be kind." });
      const chat = start({ dependencies: { conversations: storeIn() } });
      await chat.type(`something new${ENTER}`);
      await chat.type(`/clear${ENTER}`);
      await chat.stderr.waitFor("A new conversation. /load ");
      await chat.type(`/load${ENTER}`);
      await chat.type(`2${ENTER}`, "Number or id (Enter stays here): ");
      await chat.stderr.waitFor("Going on with an old one");
      await chat.type(`/system${ENTER}`);
      await chat.stderr.waitFor("Be kind.");
      await chat.type(`/retry${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(promptsOf(chat.model)[1]).toMatch(/Be kind\..*an old one/);
      expect(promptsOf(chat.model)[1]).not.toContain("something new");
      expect((await storeIn().find(id)).exchanges).toMatchObject([{ answer: "Hello", modelId: "owner/model-b" }]);
      expect(await storeIn().list()).toHaveLength(2);
    });

    it("go on with their own provider, or say who goes on where it is gone", async () => {
      await keep("elsewhere", { providerName: "gone" });
      const sessions = ({ provider }: { provider?: string | undefined }) => {
        if (provider === "gone") throw new ZephError("provider_not_found", { detail: provider });
        return mockSession({ model: mockModel([answerOf("x")]) });
      };
      const chat = start({ flags: { continue: true }, sessions, dependencies: { conversations: storeIn() } });
      await chat.stderr.waitFor("gone is no longer configured; asking testbroker instead");
      await chat.type(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(chat.opened).toEqual([{ provider: "gone", model: "owner/model-a" }, {}]);
    });

    it("are not kept where nobody wants that, and --continue says so", async () => {
      const chat = start();
      await chat.type(`hello${ENTER}`);
      await chat.type(`/load${ENTER}`);
      await chat.stderr.waitFor("Conversations are not kept");
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(await storeIn().list()).toEqual([]);
      await expect(start({ flags: { continue: true } }).exitCode).rejects.toMatchObject({
        detail: "conversations are not kept",
      });
      const both = { flags: { continue: true, private: true }, dependencies: { conversations: storeIn() } };
      await expect(start(both).exitCode).rejects.toMatchObject({
        detail: "--private and --continue exclude each other",
      });
    });

    it("answer one question and keep it, with words behind --continue", async () => {
      const id = await keep("the first question");
      const { context, stdout } = chatTerminal({ folder, piped: "" });
      const model = mockModel([answerOf("one more")]);
      const dependencies = {
        openSession: async () => mockSession({ model }),
        stateFolder: folder,
        conversations: storeIn(),
      };
      expect(await runChat(context, { prompt: ["and", "now?"], load: id }, dependencies)).toBe(0);
      expect(stdout.text).toBe("one more\n");
      expect(promptsOf(model)[0]).toContain("the first question");
      expect((await storeIn().find(id)).exchanges.map(({ question }) => question)).toEqual([
        "the first question",
        "and now?",
      ]);
    });

    it("do not end a chat when they cannot be written", async () => {
      await writeFile(conversationsFolder(folder), "in the way");
      const chat = start({ dependencies: { conversations: storeIn() } });
      await chat.type(`hello${ENTER}`);
      await chat.stderr.waitFor("This conversation is not kept from here on");
      await chat.type(`again${ENTER}`);
      await chat.type(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(chat.screen().match(/not kept from here on/g)).toHaveLength(1);
    });
  });

  describe("the instruction and the clipboard", () => {
    it("/system changes what the next question is asked with", async () => {
      const chat = start({ flags: { system: "Be long." } });
      await chat.type(`/system Be brief.${ENTER}`);
      await chat.type(`one${ENTER}`);
      await chat.type(`/system off${ENTER}`);
      await chat.type(`two${ENTER}`);
      await chat.type(`/system${ENTER}`);
      await chat.stderr.waitFor("There is no instruction.");
      await chat.type(CTRL_D);
      await chat.exitCode;
      const systems = chat.model.doStreamCalls.map(
        ({ prompt }) => prompt.find(({ role }) => role === "system")?.content,
      );
      expect(systems).toEqual(["Be brief.", undefined]);
    });

    it("/copy gives the terminal the answer, or its last block of code", async () => {
      const answer = "Text\n\n```sh\nls -l\n```\n\nand\n\n~~~\necho hi\n~~~\n";
      const chat = start({ model: mockModel([[...textParts(answer)], answerOf("plain")]) });
      await chat.type(`/copy${ENTER}`);
      await chat.stderr.waitFor("There is no answer to copy yet.");
      await chat.type(`code please${ENTER}`);
      await chat.type(`/copy${ENTER}`);
      await chat.stderr.waitFor("The answer went to your terminal's clipboard");
      await chat.type(`/copy code${ENTER}`);
      await chat.stderr.waitFor("The code went to your terminal's clipboard (7 characters)");
      await chat.type(`more${ENTER}`);
      await chat.type(`/copy code${ENTER}`);
      await chat.stderr.waitFor("There is no block of code");
      await chat.type(CTRL_D);
      await chat.exitCode;
      const copied = [...chat.stderr.text.matchAll(/\u001b\]52;c;([A-Za-z0-9+/=]*)\u0007/g)].map(([, text = ""]) =>
        Buffer.from(text, "base64").toString("utf8"),
      );
      expect(copied).toEqual([answer.trim(), "echo hi"]);
    });

    it("/copy uses a clipboard program where there is one", async () => {
      const bin = join(folder, "bin");
      await mkdir(bin);
      await writeFile(join(bin, "xsel"), `#!/bin/sh\ncat > '${join(folder, "copied")}'\n`, { mode: 0o755 });
      const chat = start({ env: { PATH: `${bin}:/usr/bin:/bin`, DISPLAY: ":0" } });
      await chat.type(`hi${ENTER}`);
      await chat.type(`/copy${ENTER}`);
      await chat.stderr.waitFor("The answer is in the clipboard");
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(await readFile(join(folder, "copied"), "utf8")).toBe("Hello");
    });
  });

  describe("a window that is too narrow for the list of models", () => {
    it("shows fewer columns instead of broken lines", async () => {
      const id = `owner/${"long-name-".repeat(5)}`;
      const models = [{ id, contextLengthTokens: 1_000, promptUsdPer1M: 1, completionUsdPer1M: 2 }];
      const model = mockModel([]);
      const chat = start({ models, sessions: () => mockSession({ model, modelId: id, models }) });
      await chat.type(`/model${ENTER}`);
      await chat.type(ENTER, "Number or name");
      await chat.type(CTRL_D);
      await chat.exitCode;
      const lines = chat.screen().split("\n");
      expect(lines.find((line) => line.includes("● 1"))).toContain("1000");
      expect(lines.find((line) => line.includes("context"))).not.toContain("tools");
      expect(lines.every((line) => line.length <= 80)).toBe(true);
    });
  });

  describe("thinking and migration", () => {
    const optionsOf = (model: ReturnType<typeof mockModel>) =>
      model.doStreamCalls.map(({ providerOptions }) => providerOptions?.gonka);

    it("asks for the effort and the tokens that were chosen, until told otherwise", async () => {
      const chat = start();
      await chat.type(`/reasoning-effort HIGH${ENTER}`);
      await chat.stderr.waitFor("high. It is sent; the model list does not say");
      await chat.type(`/think-tokens 0${ENTER}`);
      await chat.stderr.waitFor("Tokens for thinking: none.");
      await chat.type(`one${ENTER}`);
      await chat.type(`/reasoning-effort auto${ENTER}`);
      await chat.type(`/think-tokens auto${ENTER}`);
      await chat.type(`two${ENTER}`);
      await chat.type(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(optionsOf(chat.model)).toEqual([
        { reasoningEffort: "high", thinkingTokenBudget: 0, thinking: { type: "disabled" } },
        {},
      ]);
    });

    it("says so where the model takes neither, and what a wrong word should have been", async () => {
      const chat = start({ models: [{ id: "owner/model-a", parameters: ["tools"] }] });
      await chat.type(`/model 1${ENTER}`);
      await chat.type(`/reasoning-effort low${ENTER}`);
      await chat.stderr.waitFor("owner/model-a does not take this: it is not sent");
      await chat.type(`/think-tokens many${ENTER}`);
      await chat.stderr.waitFor("Say a number of tokens");
      await chat.type(`/reasoning-effort huge${ENTER}`);
      await chat.stderr.waitFor("Say one of: none, minimal, low, medium, high, xhigh, auto.");
      await chat.type(`one${ENTER}`);
      await chat.type(CTRL_D);
      await chat.exitCode;
      expect(optionsOf(chat.model)).toEqual([{}]);
    });

    it("shows what a migration would change, and changes nothing", async () => {
      const path = join(folder, ".config/zeph/config.toml");
      const old = '[llm]\nprovider = "compatible"\n[[llm.compatible]]\nname = "b"\nbase_url = "https://b.example/v1"\n';
      await mkdir(join(folder, ".config/zeph"), { recursive: true });
      await writeFile(path, old);
      const chat = start();
      await chat.type(`/migrate-config${ENTER}`);
      await chat.type(CTRL_D);
      expect(await chat.exitCode).toBe(0);
      expect(chat.stdout.text).toContain("+[[llm.providers]]");
      expect(await readFile(path, "utf8")).toBe(old);
    });
  });
});
