import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { decodeText, fileErrorCode, readRegularFile, readRegularText, UnusableFile } from "../../base/files.ts";
import { stateFile } from "../../base/lock.ts";
import type { CliContext } from "../../base/world.ts";
import { type ConversationOptions, type ImageAttachment, startConversation } from "../../chat/conversation.ts";
import type { ConversationStore, KeptConversation } from "../../chat/conversations.ts";
import {
  type ChatSession,
  type ConversationEvent,
  isOutcome,
  type OpenChatSession,
  type OutcomeEvent,
} from "../../chat/session.ts";
import { zephFolders } from "../../config/files.ts";
import { EXIT, ZephError } from "../../errors.ts";
import { type Budget, openBudget } from "../../journal/budget.ts";
import { spendingPath } from "../../journal/ledger.ts";
import { nearest } from "../../wire/models.ts";
import { showAnswer, waitLine } from "../answer.ts";
import type { Flags } from "../command-table.ts";
import { readQuestion } from "../input.ts";
import { forgetSetup, setupOf } from "../setup.ts";
import { noticesTold, renderJson, show, toTerminalLine } from "../terminal.ts";

/** Flags of `zeph ask` and `zeph chat`. */
export type AskFlags = Flags<"ask">;

/** What the two commands need and do not make themselves. */
interface ChatDependencies {
  readonly openSession: OpenChatSession;
  /** Where the daily ledger and the line history are kept. */
  readonly stateFolder: string;
  /** `[cost] max_daily_cents`; 0 or absent means no limit. */
  readonly maxDailyCents?: number;
  /** Where conversations are kept. Absent: they are not. */
  readonly conversations?: ConversationStore | undefined;
  /** The one that is asked when nobody names one; only it may be stood in for. */
  readonly defaultProvider?: string | undefined;
}

/** `zeph ask`: one question, one answer; nothing but the answer on standard output. */
export async function runAsk(context: CliContext, flags: AskFlags, dependencies: ChatDependencies): Promise<number> {
  const settings = conversationSettings(flags);
  const question = await readWholeQuestion(context, flags);
  const { session, kept } = await openChat(context, flags, dependencies);
  if (question.images.length > 0) await requireImages(session, context.signal);
  const budget = dailyBudget(context, dependencies, "zeph ask");
  const conversation = startConversation({
    session,
    clock: context.clock,
    budget,
    ...settings,
  });
  const keeper = kept === undefined ? undefined : dependencies.conversations?.keeper(kept);
  if (kept !== undefined) {
    conversation.restore(kept.exchanges);
    conversation.system = flags.system ?? kept.system;
  }
  const events = keptAfterwards(
    conversation.ask(question.text, context.signal, { images: question.images }),
    async () => await keeper?.save(conversation),
    (words) => show(context.stderr, words),
  );
  if (context.json) {
    session.subscribe((event) => {
      const line = event.type === "notice" ? `${event.text}\n` : waitLine(event, session.providerName);
      if (line !== undefined) show(context.stderr, line);
    });
    return writeJsonOutcome(context, session, await outcomeOf(events));
  }
  const outcome = await showAnswer(events, { context, session, hideReasoning: flags.hideReasoning === true });
  if (outcome.type === "failed") throw outcome.error;
  return outcome.type === "finished" ? EXIT.ok : EXIT.interrupted;
}

/** The session, and with `--continue` or `--load` the conversation that goes on. Throws `usage` when there is none. */
export async function openChat(
  context: Pick<CliContext, "stderr">,
  flags: AskFlags,
  dependencies: ChatDependencies,
): Promise<{ readonly session: ChatSession; readonly kept: KeptConversation | undefined }> {
  const choice = { provider: flags.provider, model: flags.model };
  const wanted = flags.load ?? (flags.continue === true ? "last" : undefined);
  if (wanted === undefined) return { session: await dependencies.openSession(choice), kept: undefined };
  if (flags.load !== undefined && flags.continue === true) throw excluded("--continue", "--load");
  if (flags.private === true) throw excluded("--private", flags.continue === true ? "--continue" : "--load");
  const { conversations, defaultProvider } = dependencies;
  if (conversations === undefined) {
    const hint = "Set keep_conversations = true under [session] in your config.";
    throw new ZephError("usage", { detail: "conversations are not kept", hint });
  }
  const kept = await conversations.find(wanted);
  // As it was, unless the user wants another. A name would switch the fallbacks off, so the default one is not named.
  const provider = flags.provider ?? (kept.providerName === defaultProvider ? undefined : kept.providerName);
  const model = flags.model ?? (flags.provider === undefined ? kept.modelId : undefined);
  try {
    return { kept, session: await dependencies.openSession({ provider, model }) };
  } catch (error) {
    if (!ZephError.is(error) || error.code !== "provider_not_found" || flags.provider !== undefined) throw error;
    const session = await dependencies.openSession(choice);
    const words = `! ${kept.providerName} is no longer configured; asking ${session.providerName} instead`;
    show(context.stderr, `${toTerminalLine(words)}\n`);
    return { kept, session };
  }
}

/** Where the live list says that the model takes no images, nothing is sent. A list that does not tell keeps nothing back. */
async function requireImages(session: ChatSession, signal: AbortSignal): Promise<void> {
  const { providerName, modelId } = session;
  const models = await session.listModels(signal).catch(() => []);
  if (models.find(({ id }) => id === modelId)?.images !== false) return;
  const others = models.filter(({ images }) => images === true).map(({ id }) => toTerminalLine(id));
  throw new ZephError("unsupported_capability", {
    detail: `${providerName} lists ${modelId} as a model that takes no images; nothing was sent`,
    ...(others.length === 0 ? {} : { hint: `These take them: ${others.slice(0, 5).join(", ")}. Choose one with -m.` }),
  });
}

function excluded(one: string, other: string): ZephError {
  return new ZephError("usage", { detail: `${one} and ${other} exclude each other` });
}

/** Whatever became of the answer, the conversation is kept; where it cannot be, that is said and nothing is lost but that. */
async function* keptAfterwards(
  events: AsyncIterable<ConversationEvent>,
  save: () => Promise<void>,
  tell: (words: string) => void,
): AsyncGenerator<ConversationEvent> {
  for await (const event of events) {
    if (isOutcome(event)) {
      await save().catch((error: unknown) => {
        tell(`! This answer was not kept: ${ZephError.is(error) ? error.message : String(error)}\n`);
      });
    }
    yield event;
  }
}

/** @param client the command, as the ledger names who asked */
export function dailyBudget(
  { clock }: CliContext,
  { stateFolder, maxDailyCents = 0 }: ChatDependencies,
  client: string,
): Budget {
  return openBudget({ maxDailyCents, file: stateFile(spendingPath(stateFolder), clock), clock, client });
}

/** Settings of the conversation that come from flags. Throws `usage` for numbers that are none. */
export function conversationSettings(flags: AskFlags): Omit<ConversationOptions, "session" | "clock"> {
  const { system, stream, maxTokens, temperature, topP, frequencyPenalty, presencePenalty } = flags;
  return {
    ...(system === undefined ? {} : { system }),
    ...(stream === undefined ? {} : { stream }),
    ...(maxTokens === undefined ? {} : { maxOutputTokens: toCount("--max-tokens", maxTokens) }),
    ...(temperature === undefined ? {} : { temperature: toNumber("--temperature", temperature, 0, 2) }),
    ...(topP === undefined ? {} : { topP: toNumber("--top-p", topP, 0, 1) }),
    ...(frequencyPenalty === undefined
      ? {}
      : { frequencyPenalty: toNumber("--frequency-penalty", frequencyPenalty, -2, 2) }),
    ...(presencePenalty === undefined
      ? {}
      : { presencePenalty: toNumber("--presence-penalty", presencePenalty, -2, 2) }),
  };
}

function toCount(flag: string, value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new ZephError("usage", { detail: `${flag} takes a number, a whole number above 0` });
}

function toNumber(flag: string, value: string, min: number, max: number): number {
  const number = /^-?\d{1,3}(?:\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new ZephError("usage", { detail: `${flag} takes a number, from ${min} to ${max}` });
}

async function outcomeOf(events: AsyncIterable<ConversationEvent>): Promise<OutcomeEvent> {
  for await (const event of events) if (isOutcome(event)) return event;
  throw new ZephError("internal", { detail: "the answer has no end" });
}

function writeJsonOutcome(context: CliContext, session: ChatSession, outcome: OutcomeEvent): number {
  const { stdout } = context;
  const notices = noticesTold(context);
  if (outcome.type === "finished") {
    const { text, reasoning, providerName, modelId, usage, costUsd, costNgonka } = outcome;
    const { elapsedMs, firstByteMs, finishReason } = outcome;
    const data = {
      text,
      ...(reasoning.trim() === "" ? {} : { reasoning: reasoning.trim() }),
      model: modelId,
      provider: providerName,
      usage: {
        input: usage.input ?? null,
        output: usage.output ?? null,
        cached: usage.cached ?? null,
        reasoning: usage.reasoning ?? null,
      },
      costUsd: costUsd ?? null,
      costNgonka: costNgonka ?? null,
      elapsedMs,
      firstByteMs: firstByteMs ?? null,
      finishReason,
    };
    stdout.write(renderJson({ data }, notices));
    return EXIT.ok;
  }
  const error = outcome.type === "failed" ? outcome.error : new ZephError("cancelled");
  if (outcome.partialText === "") throw error;
  // What arrived was paid for: it must not get lost with the error.
  stdout.write(renderJson({ error, data: { text: outcome.partialText, model: session.modelId } }, notices));
  return error.exitCode;
}

/**
 * `zeph` and `zeph chat`: a conversation where there is a keyboard and a screen. With a question on the command line,
 * with text on standard input, with `--json`, or with the output going elsewhere it is `zeph ask`.
 */
export async function runChat(context: CliContext, flags: AskFlags, dependencies: ReplDependencies): Promise<number> {
  if (!isConversation(context, flags)) return await runAsk(context, flags, dependencies);
  const { runRepl } = await import("../repl.ts");
  return await runRepl(context, flags, dependencies);
}

/**
 * Whoever types `zeph` for the first time, at a terminal, is set up first. Gives the exit code when there is nothing to
 * talk to afterwards, `undefined` to go on. A file or provider that was named and is not there stays an error.
 */
export async function setUpFirst(
  context: CliContext,
  { provider }: Pick<AskFlags, "provider">,
): Promise<number | undefined> {
  if (!context.interactive || context.stdout.isTTY !== true || context.json || provider !== undefined) return undefined;
  const { config } = (await setupOf(context, {}, "silent")).loaded;
  if (config.providers.length > 0 || config.untrusted !== undefined) return undefined;
  show(context.stderr, "zeph is not set up yet.\n");
  const { runInit } = await import("./init.ts");
  const exitCode = await runInit(context, {});
  forgetSetup(context);
  return exitCode === EXIT.ok ? undefined : exitCode;
}

/** Only a conversation follows the provider that was chosen in the last one; a script's question goes where the config says. */
export function isConversation(
  { stdin, stdout, json }: Pick<CliContext, "stdin" | "stdout" | "json">,
  flags: QuestionFlags,
): boolean {
  return (
    (flags.prompt ?? []).length === 0 && !isPutTogether(flags) && !json && stdin.isTTY === true && stdout.isTTY === true
  );
}

/** What the interactive chat needs beyond a single question. */
export interface ReplDependencies extends ChatDependencies {
  /** The configured providers that can be talked to. Absent: `/provider` takes a name only. */
  readonly listProviders?: () => Promise<readonly { readonly name: string; readonly model?: string }[]>;
  /** Called when the user has changed the provider, so that the next run begins with it. */
  readonly rememberProvider?: (name: string) => Promise<void>;
}

/** Flags that say what a question is made of. */
export interface QuestionFlags {
  readonly prompt?: readonly string[];
  /** `-f FILE`, repeatable: texts that go with the question. */
  readonly file?: readonly string[];
  /** `-a IMAGE`, repeatable. */
  readonly attach?: readonly string[];
  /** `-t NAME`: a file of the templates folder. */
  readonly template?: string;
}

/** A question with everything that goes with it. */
interface Question {
  readonly text: string;
  readonly images: readonly ImageAttachment[];
}

/** What a Gonka node accepts for one request; brokers take less. */
const MAX_BYTES = 10 * 1024 * 1024;

/** As base64 they are a third longer, and the request around them has its own length. */
const MAX_IMAGES_BYTES = 7 * 1024 * 1024;
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/**
 * The whole question of one command: words, then files, then what is piped in, put into the template where there is one.
 * Throws `missing_input`, `request_too_large`, `usage` for files that are not what they should be.
 */
export async function readWholeQuestion(context: CliContext, flags: QuestionFlags): Promise<Question> {
  const { file = [], attach = [], template } = flags;
  const [before, texts, images] = [
    template === undefined ? undefined : await readTemplate(context, template),
    await readTexts(context, file),
    await readImages(context, attach),
  ];
  const isComplete = texts.length > 0 || (before !== undefined && !PLACEHOLDER.test(before));
  const { typed, piped } = await readQuestion(context, flags.prompt ?? [], { isOptional: isComplete });
  const input = [typed, ...texts, piped].filter((part) => part !== "").join("\n\n");
  return { text: before === undefined ? input : fillIn(before, input), images };
}

/** Does anything but words make this a question? Then it is one also where a conversation could begin. */
function isPutTogether({ file = [], attach = [], template }: QuestionFlags): boolean {
  return file.length > 0 || attach.length > 0 || template !== undefined;
}

const PLACEHOLDER = /\{\{\s*input\s*\}\}/;

function fillIn(template: string, input: string): string {
  if (!PLACEHOLDER.test(template)) return [template.trim(), input].filter((part) => part !== "").join("\n\n");
  return template.trim().replace(new RegExp(PLACEHOLDER, "g"), () => input);
}

/** A template as `zeph templates` lists it. */
interface Template {
  readonly name: string;
  readonly path: string;
  /** Its first line. */
  readonly begins: string;
}

/** Where templates lie: the user's own config folder. */
export function templatesFolder(context: CliContext): string {
  return join(zephFolders(context).config, "templates");
}

/** By name. A file's ending is not part of its name; what cannot be read is left out. */
export async function listTemplates(context: CliContext): Promise<readonly Template[]> {
  const folder = templatesFolder(context);
  const found = await Promise.all(
    (await fileNames(folder)).map(async (file) => {
      const path = join(folder, file);
      const text = await readRegularText(path, { maxBytes: MAX_TEMPLATE_BYTES }).catch(() => undefined);
      if (text === undefined) return undefined;
      const begins = text.split("\n").find((line) => line.trim() !== "") ?? "";
      return { name: nameOf(file), path, begins: begins.trim() };
    }),
  );
  return found.filter((each) => each !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function fileNames(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith(".") && !name.endsWith("~"));
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw new ZephError("usage", { detail: `${folder} cannot be read`, cause: error });
  }
}

function nameOf(file: string): string {
  return file.replace(/\.(?:md|txt)$/i, "");
}

async function readTemplate(context: CliContext, name: string): Promise<string> {
  const folder = templatesFolder(context);
  // Names come from the folder's own list, so that none leads out of it.
  const file = (await fileNames(folder)).find((each) => each === name || nameOf(each) === name);
  if (file === undefined) {
    const names = (await listTemplates(context)).map((template) => template.name);
    const hint =
      names.length === 0
        ? `Write one into ${folder}, as ${name}.md; {{input}} in it stands for the question.`
        : `There is ${nearest(name, names, 3).join(", ")}. \`zeph templates\` lists all.`;
    throw new ZephError("usage", { detail: `there is no template "${name}"`, hint });
  }
  const text = await readNamed(join(folder, file), (path) => readRegularText(path, { maxBytes: MAX_TEMPLATE_BYTES }));
  return text.replace(/^\ufeff/, "");
}

/** Each text behind the name of its file, between fences that it does not hold itself. */
async function readTexts(context: CliContext, files: readonly string[]): Promise<readonly string[]> {
  let sizeBytes = 0;
  const texts: string[] = [];
  for (const file of files) {
    const bytes = await readNamed(resolve(context.cwd, file), (path) => readRegularFile(path, { maxBytes: MAX_BYTES }));
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_BYTES) throw tooLarge("the files have more than 10 MiB together");
    texts.push(fenced(file, textIn(file, bytes)));
  }
  return texts;
}

function textIn(file: string, bytes: Buffer): string {
  if (imageType(bytes) !== undefined) {
    throw new ZephError("usage", { detail: `${file} is an image`, hint: `Give it with: -a ${file}` });
  }
  try {
    const text = decodeText(file, bytes).replace(/^\ufeff/, "");
    if (!text.includes("\0")) return text;
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    throw new ZephError("usage", { detail: error.message, hint: error.hint, cause: error });
  }
  throw new ZephError("usage", { detail: `${file} is not text`, hint: "Give texts with -f and images with -a." });
}

function fenced(file: string, text: string): string {
  const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map(({ length }) => length));
  const fence = "`".repeat(longest + 1);
  return `${file}:\n\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}

async function readImages(context: CliContext, files: readonly string[]): Promise<readonly ImageAttachment[]> {
  let sizeBytes = 0;
  const images: ImageAttachment[] = [];
  for (const file of files) {
    const bytes = await readNamed(resolve(context.cwd, file), (path) =>
      readRegularFile(path, { maxBytes: MAX_IMAGES_BYTES }),
    );
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_IMAGES_BYTES) throw tooLarge("the images have more than 7 MiB together");
    const mediaType = imageType(bytes);
    if (mediaType === undefined) {
      const hint = "Give texts with -f; other pictures have to be converted first.";
      throw new ZephError("usage", { detail: `${file} is no PNG, JPEG, WebP or GIF image`, hint });
    }
    images.push({ name: basename(file), mediaType, base64: bytes.toString("base64") });
  }
  return images;
}

/** By what the file begins with; its ending may say anything. */
function imageType(bytes: Buffer): string | undefined {
  const begins = (...signature: readonly number[]) => signature.every((byte, index) => bytes[index] === byte);
  if (begins(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  const text = bytes.toString("latin1", 0, 12);
  if (text.startsWith("GIF8")) return "image/gif";
  return text.startsWith("RIFF") && text.endsWith("WEBP") ? "image/webp" : undefined;
}

/** A file that the user named: whatever keeps it from being read is said in words. */
async function readNamed<Content>(
  path: string,
  read: (path: string) => Promise<Content | undefined>,
): Promise<Content> {
  const content = await read(path).catch((cause: unknown) => {
    if (!(cause instanceof UnusableFile)) throw cause;
    if (cause.code === "too_large") throw tooLarge(cause.message);
    throw new ZephError("usage", { detail: cause.message, hint: cause.hint, cause });
  });
  if (content === undefined) throw new ZephError("missing_input", { detail: `${path} does not exist` });
  return content;
}

function tooLarge(detail: string): ZephError {
  return new ZephError("request_too_large", { detail, hint: "A node takes 10 MiB in one request; models read less." });
}
