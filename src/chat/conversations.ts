import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { fileErrorCode, readRegularHead, readRegularText } from "../base/files.ts";
import { plausibleTokens, plausibleUsd } from "../base/json.ts";
import { type StateFile, stateFile } from "../base/lock.ts";
import { scrub } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { type Exchange, toTranscript } from "./conversation.ts";

/** What a list shows of a conversation. */
export interface ConversationSummary {
  /** Six signs, short enough to type. */
  readonly id: string;
  /** The beginning of the first question, until it is renamed. */
  readonly title: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Questions with what came of them. */
  readonly exchangeCount: number;
  /** Who was talked to last. */
  readonly providerName: string;
  readonly modelId: string;
}

/** A conversation as it was kept. Images are not: only the names of their files are. */
export interface KeptConversation extends ConversationSummary {
  readonly system: string | undefined;
  readonly exchanges: readonly Exchange[];
  /** Exchanges at the beginning that had no room any more. */
  readonly droppedCount: number;
}

/** What a chat hands over after each answer. */
interface ConversationState {
  readonly exchanges: readonly Exchange[];
  readonly system: string | undefined;
  readonly session: {
    readonly providerName: string;
    readonly modelId: string;
    readonly mask?: ((text: string) => string) | undefined;
  };
}

/** Keeps one conversation, answer after answer. */
export interface ConversationKeeper {
  /** `undefined` until something was kept. */
  readonly id: string | undefined;
  /**
   * Writes what was said, secrets masked. Where another zeph has gone on with the same conversation meanwhile, this one
   * becomes a conversation of its own; one that was deleted meanwhile is not brought back. Throws `file_unwritable`.
   */
  save(state: ConversationState): Promise<void>;
}

/** The conversations of this user. */
export interface ConversationStore {
  /** Newest first. Files that nobody can read are left out. */
  list(): Promise<readonly ConversationSummary[]>;
  /** Those in whose title or text all words stand, letter case aside; newest first. */
  search(words: string): Promise<readonly ConversationSummary[]>;
  /** By its id, the beginning of one, a part of the title, or `last`. Throws `usage`. */
  find(wanted: string): Promise<KeptConversation>;
  /** Throws `usage` when there is none of this id. */
  rename(id: string, title: string): Promise<ConversationSummary>;
  remove(id: string): Promise<void>;
  /** For a new conversation, or one that goes on. */
  keeper(resumed?: KeptConversation): ConversationKeeper;
}

interface ConversationStoreOptions {
  /** See {@link conversationsFolder}. */
  readonly folder: string;
  readonly clock: Clock;
  /** Chance for ids, 0 <= value < 1. */
  readonly random: () => number;
  /** When there are more, the one that was used longest ago goes. Default 1000. */
  readonly maxConversations?: number;
  /** Of one conversation; its oldest exchanges go when there is no room. Default 4 MiB. */
  readonly maxBytes?: number;
}

/** The folder in zeph's state folder. */
export function conversationsFolder(stateFolder: string): string {
  return join(stateFolder, "conversations");
}

const FORM = 1;
const HEAD_BYTES = 4096;
const MAX_TITLE_CHARS = 80;
const FILES_AT_ONCE = 32;

/**
 * A folder with one private file (0600) for each conversation, replaced as a whole and in one step. Its first line is what
 * a list needs, each further line one exchange, so that a list reads beginnings only.
 */
export function conversationStore(options: ConversationStoreOptions): ConversationStore {
  const { folder, clock, random, maxConversations = 1_000, maxBytes = 4 * 1024 * 1024 } = options;
  const pathOf = (id: string) => join(folder, `${id}.json`);

  async function ids(): Promise<readonly string[]> {
    const names = await readdir(folder).catch((error: unknown) => {
      if (fileErrorCode(error) === "ENOENT") return [];
      throw new ZephError("file_unwritable", { detail: folder, cause: error });
    });
    return names.flatMap((name) => /^([0-9a-z]{6})\.json$/.exec(name)?.[1] ?? []);
  }
  async function head(id: string): Promise<ConversationSummary | undefined> {
    // Unreadable: somebody else's, or damaged; it is nobody's conversation.
    const bytes = await readRegularHead(pathOf(id), { maxBytes: HEAD_BYTES }).catch(() => undefined);
    return bytes === undefined ? undefined : parseHead(id, bytes.toString("utf8").split("\n", 1)[0] ?? "");
  }
  async function whole(id: string): Promise<KeptConversation | undefined> {
    const text = await readRegularText(pathOf(id), { maxBytes: 4 * maxBytes }).catch(() => undefined);
    return text === undefined ? undefined : parseConversation(id, text);
  }
  async function inTurn<Found>(read: (id: string) => Promise<Found | undefined>): Promise<Found[]> {
    const all = await ids();
    const found: Found[] = [];
    for (let start = 0; start < all.length; start += FILES_AT_ONCE) {
      const some = await Promise.all(all.slice(start, start + FILES_AT_ONCE).map(read));
      found.push(...some.filter((each) => each !== undefined));
    }
    return found;
  }
  async function list(): Promise<readonly ConversationSummary[]> {
    return (await inTurn(head)).sort(byAge);
  }
  async function remove(id: string): Promise<void> {
    await unlink(pathOf(id)).catch((error: unknown) => {
      if (fileErrorCode(error) !== "ENOENT")
        throw new ZephError("file_unwritable", { detail: pathOf(id), cause: error });
    });
  }
  /** The one that is meant, or an error that says what there is. */
  async function resolve(wanted: string): Promise<string> {
    const all = await list();
    const name = wanted.trim().toLowerCase();
    const exact = name === "last" ? all[0] : all.find(({ id }) => id === name);
    if (exact !== undefined) return exact.id;
    const alike = all.filter(({ id, title }) => id.startsWith(name) || title.toLowerCase().includes(name));
    const [one] = alike;
    if (one !== undefined && alike.length === 1 && name !== "") return one.id;
    if (all.length === 0) throw new ZephError("usage", { detail: "no conversation is kept yet", hint: KEPT_HINT });
    const shown = (alike.length > 1 ? alike : all).slice(0, 3).map(({ id, title }) => `${id} (${title})`);
    const detail = alike.length > 1 ? `several conversations fit "${wanted}"` : `no conversation is called "${wanted}"`;
    throw new ZephError("usage", { detail, hint: `There are ${shown.join(", ")} …; \`zeph chats\` lists all.` });
  }
  async function newId(): Promise<string> {
    const taken = new Set(await ids());
    for (;;) {
      const id = Array.from({ length: 6 }, () => ALPHABET[Math.floor(random() * ALPHABET.length)] ?? "2").join("");
      if (!taken.has(id)) return id;
    }
  }
  async function makeRoom(): Promise<void> {
    if ((await ids()).length <= maxConversations) return;
    for (const { id } of (await list()).slice(maxConversations)) await remove(id);
  }
  function write(conversation: KeptConversation): Promise<void> {
    return stateFile(pathOf(conversation.id), clock).replace(render(conversation, maxBytes));
  }

  function keeper(resumed?: KeptConversation): ConversationKeeper {
    let seen: ConversationSummary | undefined = resumed;
    const droppedCount = resumed?.droppedCount ?? 0;
    let isGone = false;
    async function save({ exchanges, system, session }: ConversationState): Promise<void> {
      if (isGone || (exchanges.length === 0 && seen === undefined)) return;
      const mask = masker(session.mask, [system ?? "", ...exchanges.map(({ question }) => question)]);
      const nowMs = clock.nowMs();
      const there = seen === undefined ? undefined : await head(seen.id);
      if (seen !== undefined && there === undefined) {
        isGone = true;
        return;
      }
      if (exchanges.length === 0 && there?.updatedAtMs === seen?.updatedAtMs && there !== undefined) {
        // Everything was taken back.
        seen = undefined;
        return remove(there.id);
      }
      const isOthers = there !== undefined && there.updatedAtMs !== seen?.updatedAtMs;
      const id = there === undefined || isOthers ? await newId() : there.id;
      const conversation: KeptConversation = {
        id,
        title: there?.title ?? titleOf(exchanges, mask),
        createdAtMs: isOthers ? nowMs : (there?.createdAtMs ?? nowMs),
        // Never the same twice: it tells whether another zeph has written.
        updatedAtMs: Math.max(nowMs, (seen?.updatedAtMs ?? 0) + 1),
        exchangeCount: exchanges.length,
        providerName: session.providerName,
        modelId: session.modelId,
        system: system === undefined ? undefined : mask(system),
        exchanges: exchanges.map((exchange) => masked(exchange, mask)),
        droppedCount,
      };
      await write(conversation);
      if (there === undefined || isOthers) await makeRoom();
      seen = conversation;
    }
    return {
      get id() {
        return seen?.id;
      },
      save: (state) => {
        const id = seen?.id;
        return id === undefined ? save(state) : stateFile(pathOf(id), clock).alone(() => save(state));
      },
    };
  }

  return {
    list,
    async search(words) {
      const wanted = words
        .toLowerCase()
        .split(/\s+/)
        .filter((word) => word !== "");
      const found = await inTurn(async (id) => {
        const conversation = await whole(id);
        const text = conversation === undefined ? "" : textOf(conversation).toLowerCase();
        return conversation !== undefined && wanted.every((word) => text.includes(word)) ? head(id) : undefined;
      });
      return found.sort(byAge);
    },
    async find(wanted) {
      const id = await resolve(wanted);
      const found = await whole(id);
      if (found === undefined) throw new ZephError("usage", { detail: `${pathOf(id)} cannot be read` });
      return found;
    },
    async rename(wanted, title) {
      const name = shortTitle(title);
      if (name === "") throw new ZephError("usage", { detail: "a conversation needs a title" });
      const id = await resolve(wanted);
      return stateFile(pathOf(id), clock).alone(async () => {
        const conversation = await whole(id);
        if (conversation === undefined) throw new ZephError("usage", { detail: `${pathOf(id)} cannot be read` });
        await write({ ...conversation, title: name });
        return { ...conversation, title: name };
      });
    },
    remove: async (wanted) => remove(await resolve(wanted)),
    keeper,
  };
}

/** As a Markdown document. */
export function toMarkdown(conversation: KeptConversation): string {
  const { exchanges, updatedAtMs: savedAtMs, system, title } = conversation;
  return toTranscript(exchanges, { savedAtMs, system, title });
}

/** As a document of plain data, for programs; GNK as text. */
export function toPlainData({ exchanges, system, droppedCount, ...summary }: KeptConversation): object {
  return { ...summary, system: system ?? null, droppedCount, exchanges: exchanges.map(toWritten) };
}

const KEPT_HINT = "Conversations at the terminal are kept, unless [session] keep_conversations = false.";

/** Without letters and digits that look alike. */
const ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz";

function byAge(left: ConversationSummary, right: ConversationSummary): number {
  return right.updatedAtMs - left.updatedAtMs;
}

function titleOf(exchanges: readonly Exchange[], mask: (text: string) => string): string {
  return shortTitle(mask(exchanges[0]?.question ?? "")) || "Conversation";
}

/** One line, without anything that is not seen. */
function shortTitle(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ").trim();
  const signs = [...line];
  return signs.length <= MAX_TITLE_CHARS ? line : `${signs.slice(0, MAX_TITLE_CHARS - 1).join("")}…`;
}

/**
 * Recovery words have no shape that could be found inside a longer text. Alone in a message they are known, and masked
 * where they are repeated too.
 */
function masker(mask: ((text: string) => string) | undefined, messages: readonly string[]): (text: string) => string {
  const phrases = messages
    .map((text) => text.trim())
    .filter((text) => /^[a-z\s]{40,250}$/.test(text) && looksLikeSecret(text));
  return (text) => phrases.reduce((clean, phrase) => clean.replaceAll(phrase, "[redacted]"), mask?.(text) ?? text);
}

function masked(exchange: Exchange, mask: (text: string) => string): Exchange {
  const { question, answer, reasoning } = exchange;
  return { ...exchange, question: mask(question), answer: mask(answer), reasoning: mask(reasoning) };
}

function textOf({ title, system, exchanges }: KeptConversation): string {
  return [title, system ?? "", ...exchanges.flatMap(({ question, answer }) => [question, answer])].join("\n");
}

function toWritten(exchange: Exchange): object {
  const { toolMessages: _, images, costNgonka, ...rest } = exchange;
  return { ...rest, costNgonka: costNgonka?.toString(), images: images?.map(({ name }) => name) };
}

/** The whole file. Exchanges are dropped from the beginning until the rest fits; the last one always stays. */
function render(conversation: KeptConversation, maxBytes: number): string {
  const { exchanges, system, droppedCount, ...summary } = conversation;
  const lines: string[] = [];
  let sizeBytes = HEAD_BYTES + Buffer.byteLength(system ?? "");
  for (const exchange of [...exchanges].reverse()) {
    const line = JSON.stringify(toWritten(clipped(exchange, maxBytes / 8)));
    sizeBytes += Buffer.byteLength(line);
    if (lines.length > 0 && sizeBytes > maxBytes) break;
    lines.unshift(line);
  }
  const missing = droppedCount + exchanges.length - lines.length;
  const headLine = JSON.stringify({ zeph: FORM, ...summary, exchangeCount: lines.length, droppedCount: missing });
  const systemLines = system === undefined ? [] : [JSON.stringify({ system })];
  return [headLine, ...systemLines, ...lines].map((line) => `${line}\n`).join("");
}

/** A pasted book has no room; its beginning tells what it was. */
function clipped(exchange: Exchange, maxChars: number): Exchange {
  const clip = (text: string) => (text.length <= maxChars ? text : `${text.slice(0, maxChars)}\n[…]`);
  const { question, answer, reasoning } = exchange;
  return { ...exchange, question: clip(question), answer: clip(answer), reasoning: clip(reasoning) };
}

function parseHead(id: string, line: string): (ConversationSummary & { readonly droppedCount: number }) | undefined {
  const value = parseObject(line);
  if (value?.zeph !== FORM) return undefined;
  const { title, createdAtMs, updatedAtMs, exchangeCount, providerName, modelId, droppedCount } = value;
  const isCount = (number: unknown): number is number => Number.isSafeInteger(number) && Number(number) >= 0;
  if (typeof title !== "string" || typeof providerName !== "string" || typeof modelId !== "string") return undefined;
  if (!isCount(createdAtMs) || !isCount(updatedAtMs) || !isCount(exchangeCount)) return undefined;
  const dropped = isCount(droppedCount) ? droppedCount : 0;
  return { id, title, createdAtMs, updatedAtMs, exchangeCount, providerName, modelId, droppedCount: dropped };
}

/** What a newer zeph, or another program, has written in between is passed over. */
function parseConversation(id: string, text: string): KeptConversation | undefined {
  const [first = "", ...lines] = text.split("\n");
  const summary = parseHead(id, first);
  if (summary === undefined) return undefined;
  const values = lines.map(parseObject).filter((value) => value !== undefined);
  const system = values.find((value) => typeof value.system === "string")?.system as string | undefined;
  const exchanges = values.flatMap((value) => parseExchange(value) ?? []);
  return { ...summary, exchangeCount: exchanges.length, system, exchanges };
}

const STATES: ReadonlySet<unknown> = new Set(["finished", "cancelled", "failed"]);

function parseExchange(value: Fields): Exchange | undefined {
  const { question, answer, reasoning, state, providerName, modelId, costUsd, costNgonka, atMs, usage } = value;
  const { firstByteMs, elapsedMs } = value;
  const texts = [question, answer, reasoning, providerName, modelId];
  if (texts.some((text) => typeof text !== "string") || !STATES.has(state)) return undefined;
  const counted = (typeof usage === "object" && usage !== null ? usage : {}) as Fields;
  return {
    question: String(question),
    answer: String(answer),
    reasoning: String(reasoning),
    state: state as Exchange["state"],
    providerName: String(providerName),
    modelId: String(modelId),
    usage: {
      input: plausibleTokens(counted.input),
      output: plausibleTokens(counted.output),
      cached: plausibleTokens(counted.cached),
      reasoning: plausibleTokens(counted.reasoning),
    },
    costUsd: plausibleUsd(costUsd),
    costNgonka: typeof costNgonka === "string" && /^\d{1,30}$/.test(costNgonka) ? BigInt(costNgonka) : undefined,
    atMs: typeof atMs === "number" ? atMs : undefined,
    firstByteMs: typeof firstByteMs === "number" ? firstByteMs : undefined,
    elapsedMs: typeof elapsedMs === "number" ? elapsedMs : undefined,
  };
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    // The empty end of the file, or a line that a longer form has cut.
    return undefined;
  }
}

/** Lines typed at the prompt, kept for the next run. */
export interface LineHistory {
  /** Newest first, as a line editor wants them. */
  load(): Promise<string[]>;
  /** Adds a line; one that looks like a secret, is empty or very long is not kept. */
  add(line: string): Promise<void>;
}

interface LineHistoryOptions {
  readonly file: StateFile;
  /** Default 1000. */
  readonly maxLines?: number;
}

/** Longer ones are pastes: of no use when recalled, and the file would grow large. */
const MAX_LINE_CHARS = 4_000;

/** History across runs. Each entry is a JSON string on a line of its own, so that it may have several lines itself. */
export function openLineHistory({ file, maxLines = 1_000 }: LineHistoryOptions): LineHistory {
  let previous: string | undefined;
  return {
    async load() {
      const read = async () => ((await file.read()) ?? "").split("\n").flatMap(parseEntry);
      let lines = await read();
      // Rewritten when it has grown to double size, not at every start.
      if (lines.length > 2 * maxLines) {
        await file
          .alone(async () => {
            // Another chat may have added to it.
            lines = await read();
            await file.replace(lines.slice(-maxLines).map(toEntry).join(""));
          })
          .catch(() => {});
      }
      const kept = lines.slice(-maxLines);
      previous = kept.at(-1);
      return kept.reverse();
    },
    async add(line) {
      if (line === previous || !isWorthKeeping(line)) return;
      previous = line;
      // History is a convenience: a folder that cannot be written must not end the chat.
      await file.alone(() => file.append(toEntry(line))).catch(() => {});
    },
  };
}

function toEntry(line: string): string {
  return `${JSON.stringify(line)}\n`;
}

function parseEntry(text: string): string[] {
  try {
    const entry: unknown = JSON.parse(text);
    return typeof entry === "string" ? [entry] : [];
  } catch {
    // The empty end of the file, or a torn line.
    return [];
  }
}

export function isWorthKeeping(line: string): boolean {
  return line.trim() !== "" && line.length <= MAX_LINE_CHARS && !looksLikeSecret(line);
}

/** `scrub` keeps 300 characters, so longer texts are looked at in pieces; they overlap by more than the longest shape. */
const PIECE_CHARS = 250;
const OVERLAP_CHARS = 120;

/** Keys, bearer words, 64 hex digits, and lists of words that could be a wallet's mnemonic. */
function looksLikeSecret(text: string): boolean {
  for (let start = 0; start < text.length; start += PIECE_CHARS - OVERLAP_CHARS) {
    if (scrub(text.slice(start, start + PIECE_CHARS)).includes("[redacted]")) return true;
  }
  return looksLikeMnemonic(text);
}

const MNEMONIC_WORDS: ReadonlySet<number> = new Set([12, 15, 18, 21, 24]);

/** Exactly as many words as a mnemonic has, each in small letters and of the length BIP-39 words have. */
function looksLikeMnemonic(text: string): boolean {
  const words = text.trim().split(/\s+/);
  return MNEMONIC_WORDS.has(words.length) && words.every((word) => /^[a-z]{3,8}$/.test(word));
}
