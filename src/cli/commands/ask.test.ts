import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
import { ZephError } from "../../errors/zeph-error.ts";
import { type AskFlags, runAsk } from "./ask.ts";

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
