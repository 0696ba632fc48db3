import { scrub } from "../base/secret.ts";
import { type ChatReadOptions, isRecord, type Json, parseJson } from "./chat-shape.ts";

/** A call that a model wrote into its text, in tokens of its own. */
interface WrittenCall {
  readonly name: string;
  readonly argumentsText: string;
  readonly id: string | undefined;
}

export type TextPiece =
  | { readonly type: "content" | "reasoning"; readonly text: string }
  | { readonly type: "call"; readonly call: WrittenCall };

/** Takes the text of one answer as it arrives and tells apart what stands in it. */
interface TextReader {
  /** Nothing waits, and text without `<` needs no look. */
  readonly isPlain: boolean;
  push(text: string): readonly TextPiece[];
  /** Thinking has come by another way: what begins now is the answer. */
  expectAnswer(): void;
  /** What was held back for the case that it became a tag or a call. */
  end(): readonly TextPiece[];
}

interface TextReaderOptions {
  /** What becomes of thinking between tags; `none` where the text is thinking already. */
  readonly thinking: "apart" | "kept" | "none";
  /** Nobody waits for the first word: every beginning may turn out to be thinking. */
  readonly isPatient: boolean;
  readonly tools: OfferedTools;
  readonly notice: (text: string) => void;
}

/** The tools a request offered: the schema of each one's parameters by its name. `undefined` when that is not known. */
export type OfferedTools = () => ReadonlyMap<string, Json> | undefined;

/** The tools of a request, read when somebody asks for them. */
export function offeredTools(request: ChatReadOptions["request"]): OfferedTools {
  let isRead = false;
  let found: ReadonlyMap<string, Json> | undefined;
  return () => {
    if (!isRead) {
      const body = request?.();
      found = body === undefined ? undefined : readTools(body.tools);
    }
    isRead = true;
    return found;
  };
}

function readTools(tools: unknown): ReadonlyMap<string, Json> {
  const found = new Map<string, Json>();
  for (const tool of Array.isArray(tools) ? tools : []) {
    const target = isRecord(tool) && isRecord(tool.function) ? tool.function : tool;
    if (!isRecord(target) || typeof target.name !== "string") continue;
    found.set(target.name, isRecord(target.parameters) ? target.parameters : {});
  }
  return found;
}

const THINKING: readonly (readonly [string, string])[] = [
  ["<think>", "</think>"],
  ["<thinking>", "</thinking>"],
  ["<thought>", "</thought>"],
  ["<reasoning>", "</reasoning>"],
  ["<seed:think>", "</seed:think>"],
  ["<mm:think>", "</mm:think>"],
  ["◁think▷", "◁/think▷"],
  ["[THINK]", "[/THINK]"],
];
const OPENINGS = THINKING.map(([opening]) => opening);

/** Closings that are looked for where no opening came: a chat template has put it into the prompt. */
const LONE_CLOSINGS = ["</think>", "</thinking>", "◁/think▷"];

/**
 * How thinking begins that has lost its opening tag, as a rule. Only such beginnings wait for a closing tag: an answer
 * must not be held back for the rare one.
 */
const THOUGHTS = [
  "the user",
  "the question",
  "user says",
  "user asks",
  "user wants",
  "okay, the user",
  "okay, so",
  "okay, let",
  "okay, i ",
  "ok, the user",
  "ok, so",
  "alright, the user",
  "alright, so",
  "alright, let",
  "hmm",
  "so the user",
  "so, the user",
  "first, the user",
  "first, i need",
  "we need to",
  "we are asked",
  "we have to",
  "i need to",
  "i should",
  "i must",
  "i think the user",
  "let me think",
  "let me see",
  "let me analy",
  "let me consider",
  "let's think",
  "thinking",
  "用户",
  "好的，用户",
  "好的，我",
  "嗯",
  "首先，用户",
];

/** Beyond this much the text was an answer after all. */
const MAX_SUSPECT_CHARS = 64 * 1024;

/** Beyond this much a call that does not end is text. */
const MAX_CALL_CHARS = 1024 * 1024;

/**
 * Tells thinking and written calls from the answer. Thinking counts at the beginning only: models that think in the
 * content do it first, and a tag further on belongs to the text. White space around tags is dropped, but only there.
 */
export function textReader({ thinking, isPatient, tools, notice }: TextReaderOptions): TextReader {
  type Phase = "start" | "suspect" | "thinking" | "after" | "plain";
  let phase: Phase = thinking === "none" ? "plain" : "start";
  let held = "";
  let closing = "";
  let hasThought = false;
  let isExpected = false;
  /** The call that is being written. */
  let open: CallForm | undefined;
  let trimNext = false;
  /** The first characters of a text that began with a tag, where tags are kept. */
  let beginning: string | undefined;
  let out: TextPiece[] = [];
  /** The last character of the answer that went out. */
  let lastGiven = "\n";
  /** While text piles up, only the end of it is searched for these; beyond `maxHeld` it waits no longer. */
  let awaited: readonly string[] | undefined;
  let tail = "";
  let maxHeld = 0;
  /** What is looked for, as far as the tools allow. Not asked before a `<` has come. */
  let sought: { readonly forms: readonly CallForm[]; readonly marks: readonly string[] } | undefined;

  function look() {
    if (sought !== undefined) return sought;
    const offered = tools();
    const sure = FORMS.filter(({ isSure }) => isSure);
    const begins = (list: readonly CallForm[]) => list.map(({ begin }) => begin);
    if (offered?.size === 0) sought = { forms: [], marks: begins(sure) };
    else {
      const forms = offered === undefined ? sure : FORMS;
      sought = { forms, marks: [...begins(forms), ...STRAY] };
    }
    return sought;
  }

  function give(type: "content" | "reasoning", text: string): void {
    if (text === "") return;
    if (type === "content") lastGiven = text.slice(-1);
    const last = out.at(-1);
    if (last?.type === type) out[out.length - 1] = { type, text: last.text + text };
    else out.push({ type, text });
  }

  /** Tags that are kept: whether the text begins with one decides what its closing tag means. */
  function noteBeginning(text: string): void {
    beginning += text.slice(0, MAX_MARK_CHARS);
    const found = OPENINGS.some((opening) => beginning?.startsWith(opening) === true);
    if (found) hasThought = true;
    if (found || !OPENINGS.some((opening) => opening.startsWith(beginning ?? ""))) beginning = undefined;
  }

  function wait(marks: readonly string[], maxChars: number): false {
    awaited = marks;
    maxHeld = maxChars;
    tail = "";
    return false;
  }

  function goesOnWaiting(text: string): boolean {
    if (awaited === undefined) return false;
    tail = tail.slice(-MAX_MARK_CHARS) + text;
    if (held.length < maxHeld && !awaited.some((mark) => tail.includes(mark))) return true;
    awaited = undefined;
    return false;
  }

  /** One step of the work; false when more text is needed. */
  function step(isEnd: boolean): boolean {
    if (open !== undefined) return capture(open, isEnd);
    switch (phase) {
      case "start":
        return start(isEnd);
      case "suspect":
        return suspect(isEnd);
      case "thinking":
        return think(isEnd);
      case "after":
        held = held.trimStart();
        if (held === "") return false;
        if (OPENINGS.some((opening) => opening.startsWith(held) && opening !== held) && !isEnd) return false;
        phase = OPENINGS.some((opening) => held.startsWith(opening)) ? "start" : "plain";
        return true;
      default:
        return plain(isEnd);
    }
  }

  function start(isEnd: boolean): boolean {
    const begun = held.trimStart();
    if (begun === "" && !isEnd) return false;
    if (thinking === "kept" && begun.startsWith("<")) {
      beginning = "";
      noteBeginning(begun);
      phase = "plain";
      return true;
    }
    const pair = THINKING.find(([opening]) => begun.startsWith(opening));
    if (pair !== undefined) {
      held = begun.slice(pair[0].length);
      closing = pair[1];
      phase = "thinking";
      return true;
    }
    if (!isEnd && OPENINGS.some((opening) => opening.startsWith(begun))) return false;
    if (isExpected) {
      phase = "plain";
      return true;
    }
    const lower = begun.slice(0, MAX_THOUGHT_CHARS).toLowerCase();
    // Models speak in whole words: the beginning of one says nothing, and must not wait.
    const word = lower.trimEnd();
    const lone = findFirst(held, LONE_CLOSINGS);
    if (lone !== undefined || isPatient || THOUGHTS.some((thought) => lower.startsWith(thought))) phase = "suspect";
    else if (!isEnd && THOUGHTS.some((thought) => thought.startsWith(lower) && isWordEnd(thought, word.length)))
      return false;
    else phase = "plain";
    return true;
  }

  function suspect(isEnd: boolean): boolean {
    const lone = findFirst(held, LONE_CLOSINGS);
    const call = findFirst(held, look().marks);
    if (lone !== undefined && isMeant(held, lone) && (call === undefined || lone.at < call.at)) {
      give("reasoning", held.slice(0, lone.at));
      hasThought = true;
      held = held.slice(lone.at + lone.mark.length);
      phase = "after";
      return true;
    }
    if (!isEnd && lone === undefined && call === undefined && held.length < MAX_SUSPECT_CHARS) {
      return wait([...LONE_CLOSINGS, ...look().marks], MAX_SUSPECT_CHARS);
    }
    phase = "plain";
    return true;
  }

  function think(isEnd: boolean): boolean {
    const at = held.indexOf(closing);
    const call = findFirst(held, look().marks);
    if (call !== undefined && (at === -1 || call.at < at)) {
      give("reasoning", held.slice(0, call.at));
      begin(call);
      return true;
    }
    if (at !== -1) {
      give("reasoning", held.slice(0, at));
      held = held.slice(at + closing.length);
      hasThought = true;
      phase = "after";
      return true;
    }
    const keep = isEnd ? 0 : unfinishedLength(held, [closing, ...look().marks]);
    give("reasoning", held.slice(0, held.length - keep));
    held = held.slice(held.length - keep);
    return false;
  }

  function plain(isEnd: boolean): boolean {
    if (trimNext) {
      held = held.trimStart();
      if (held === "") return false;
      trimNext = false;
    }
    if (!held.includes("<") && !held.includes("◁")) {
      give("content", held);
      held = "";
      return false;
    }
    const { marks } = look();
    const lookFor = hasThought || thinking === "none" ? marks : [...marks, ...LONE_CLOSINGS];
    const found = findFirst(held, lookFor);
    if (found === undefined) {
      const keep = isEnd ? 0 : unfinishedLength(held, lookFor);
      give("content", held.slice(0, held.length - keep));
      held = held.slice(held.length - keep);
      return false;
    }
    if (!LONE_CLOSINGS.includes(found.mark)) {
      give("content", held.slice(0, found.at));
      begin(found);
      return true;
    }
    // Thinking that has gone out as an answer already: its end is told, and the tag taken away.
    const behind = held.slice(found.at + found.mark.length);
    if (behind === "" && !isEnd) {
      give("content", held.slice(0, found.at));
      held = held.slice(found.at);
      return false;
    }
    give("content", held.slice(0, found.at));
    hasThought = true;
    const standsAlone = lastGiven === "\n" || /^[ \t]*(?:\n|$)/.test(behind);
    if (standsAlone && isMeant(held, found)) {
      notice("the model's thinking stands in front of its answer: only the tag at its end was sent");
      phase = "after";
    } else give("content", found.mark);
    held = behind;
    return true;
  }

  /** A mark of a call has been found: from here on the text is the call's. */
  function begin({ at, mark }: Found): void {
    const form = look().forms.find((each) => each.begin === mark);
    held = held.slice(at);
    if (form !== undefined) {
      open = form;
      return;
    }
    held = held.slice(mark.length);
    if (STRAY.includes(mark)) return;
    // No tool was offered, so nobody could run the call; the words stay.
    notice("the model wrote a tool call into its answer, though no tool was offered");
    give("content", mark);
  }

  function capture(form: CallForm, isEnd: boolean): boolean {
    const end = form.ends.map((mark) => held.indexOf(mark, form.begin.length)).find((at) => at !== -1);
    const isTooLong = held.length > MAX_CALL_CHARS;
    if (end === undefined && !isEnd && !isTooLong) return wait(form.ends, MAX_CALL_CHARS);
    const mark = form.ends.find((each) => held.startsWith(each, end)) ?? "";
    const whole = end === undefined ? held : held.slice(0, end + mark.length);
    const inner = held.slice(form.begin.length, end);
    held = held.slice(whole.length);
    open = undefined;
    const offered = tools();
    const calls = form.read(inner, whole, offered);
    const known = form.isSure ? calls : calls.filter(({ name }) => offered?.has(name) === true);
    if (known.length > 0 && (end !== undefined || form.isSure)) {
      for (const call of known) out.push({ type: "call", call });
      trimNext = phase === "plain";
      if (end === undefined && form.isOpen(inner)) notice("the last of the model's tool calls did not arrive whole");
    } else if (form.isSure) {
      notice(`the model wrote a tool call that cannot be read: ${scrub(whole)}`);
      trimNext = phase === "plain";
    } else {
      notice("the model wrote something like a tool call into its answer");
      give("content", whole);
    }
    return true;
  }

  function run(isEnd: boolean): readonly TextPiece[] {
    out = [];
    while (held !== "" && step(isEnd)) {
      // Each step gives something out or finds what comes next.
    }
    return out;
  }

  return {
    get isPlain() {
      return phase === "plain" && held === "" && open === undefined && !trimNext && beginning === undefined;
    },
    push(text) {
      held += text;
      if (beginning !== undefined) noteBeginning(text);
      return goesOnWaiting(text) ? [] : run(false);
    },
    expectAnswer() {
      isExpected = true;
    },
    end() {
      awaited = undefined;
      return run(true);
    },
  };
}

/** Longer than every mark. */
const MAX_MARK_CHARS = 64;
const MAX_THOUGHT_CHARS = Math.max(...THOUGHTS.map(({ length }) => length));

function isWordEnd(text: string, at: number): boolean {
  return !/[a-z']/.test(text.charAt(at)) || !/[a-z']/.test(text.charAt(at - 1));
}

interface Found {
  readonly at: number;
  readonly mark: string;
}

function findFirst(text: string, marks: readonly string[]): Found | undefined {
  let first: Found | undefined;
  for (const mark of marks) {
    const at = text.indexOf(mark);
    if (at !== -1 && (first === undefined || at < first.at)) first = { at, mark };
  }
  return first;
}

/** Whether a tag is meant, not spoken of: in quotation marks, in code. */
function isMeant(text: string, { at, mark }: Found): boolean {
  if (/[`"'“「]$/.test(text.slice(0, at)) && /^[`"'”」]/.test(text.slice(at + mark.length))) return false;
  return text.slice(0, at).split("```").length % 2 === 1;
}

/** How much of the end of `text` may be the beginning of one of the marks. */
function unfinishedLength(text: string, marks: readonly string[]): number {
  let longest = 0;
  for (const mark of marks) {
    const last = text.lastIndexOf(mark.charAt(0));
    // Marks hold their first character again at most in places that cannot end a shorter beginning.
    for (let length = Math.min(mark.length - 1, text.length); last !== -1 && length > longest; length -= 1) {
      if (mark.startsWith(text.slice(-length))) longest = length;
    }
  }
  return longest;
}

/** One way of writing calls into text. */
interface CallForm {
  readonly begin: string;
  readonly ends: readonly string[];
  /** Its marks are tokens that text does not contain by chance. Others count only where tools were offered. */
  readonly isSure: boolean;
  /** Reads the calls that are there as a whole. */
  readonly read: (inner: string, whole: string, tools: ReadonlyMap<string, Json> | undefined) => WrittenCall[];
  /** Whether something has begun that did not end. */
  readonly isOpen: (inner: string) => boolean;
}

/** What servers leave of calls they have read themselves. */
const STRAY = [
  "<|tool_calls_section_end|>",
  "<|tool_call_section_end|>",
  "<|tool_call_end|>",
  "<｜tool▁calls▁end｜>",
  "<｜tool▁call▁end｜>",
  "</minimax:tool_call>",
];

const KIMI_CALL =
  /<\|tool_call_begin\|>\s*([\s\S]*?)\s*<\|tool_call_argument_begin\|>([\s\S]*?)(?=<\|tool_call_end\|>|$)/g;
const DEEPSEEK_CALL =
  /<｜tool▁call▁begin｜>([\s\S]*?)<｜tool▁sep｜>([\s\S]*?)(?=<｜tool▁call▁end｜>|<｜tool▁call▁begin｜>|$)/g;
const INVOKE = /<(?:｜DSML｜)?invoke\s+name=["']?([^"'>]+?)["']?\s*>([\s\S]*?)<\/(?:｜DSML｜)?invoke>/g;
const PARAMETER =
  /<(?:｜DSML｜)?parameter\s+name=["']?([^"'>]+?)["']?(?:\s[^>]*)?>([\s\S]*?)<\/(?:｜DSML｜)?parameter>/g;
const FUNCTION = /<function[= ](?:name=)?["']?([^"'>]+?)["']?\s*>([\s\S]*?)(?:<\/function>|$)/g;
const EQUALS_PARAMETER = /<parameter[= ](?:name=)?["']?([^"'>]+?)["']?\s*>([\s\S]*?)<\/parameter>/g;
const GLM_ARGUMENT = /<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>/g;

const FORMS: readonly CallForm[] = [
  // Kimi: moonshotai/Kimi-K2-Instruct docs/tool_call_guidance.md.
  ...["<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"].map((begin) =>
    form(begin, [begin.replace("begin", "end")], { isSure: true, read: readKimi }),
  ),
  form("<|tool_call_begin|>", ["<|tool_call_end|>"], { isSure: true, read: (_, whole) => readKimi(whole) }),
  // MiniMax M2: MiniMaxAI/MiniMax-M2 docs/tool_calling_guide.md.
  form("<minimax:tool_call>", ["</minimax:tool_call>"], {
    isSure: true,
    read: (inner, _, tools) => readInvokes(inner, tools),
  }),
  // DeepSeek V3, R1 and V3.1: the chat templates in the models' tokenizer_config.json.
  form("<｜tool▁calls▁begin｜>", ["<｜tool▁calls▁end｜>"], { isSure: true, read: readDeepSeek }),
  form("<｜tool▁call▁begin｜>", ["<｜tool▁call▁end｜>"], { isSure: true, read: (_, whole) => readDeepSeek(whole) }),
  // DeepSeek V3.2 and later.
  ...["function_calls", "tool_calls"].map((name) =>
    form(`<｜DSML｜${name}>`, [`</｜DSML｜${name}>`], {
      isSure: true,
      read: (inner, _, tools) => readInvokes(inner, tools),
    }),
  ),
  // Hermes and Qwen (JSON), Qwen3-Coder (tags), GLM (keys and values): all between the same tags.
  form("<tool_call>", ["</tool_call>"], { isSure: false, read: (inner, _, tools) => readTagged(inner, tools) }),
  ...["tool_calls", "function_calls"].map((name) =>
    form(`<${name}>`, [`</${name}>`], {
      isSure: false,
      read: (inner, _, tools) => [...readInvokes(inner, tools), ...readTagged(inner, tools)],
    }),
  ),
  form("<function=", ["</function>"], {
    isSure: false,
    read: (_, whole, tools) => readFunctions(whole, tools),
  }),
  form("<invoke name=", ["</invoke>"], { isSure: false, read: (_, whole, tools) => readInvokes(whole, tools) }),
];

function form(begin: string, ends: readonly string[], rest: Pick<CallForm, "isSure" | "read">): CallForm {
  return { begin, ends, ...rest, isOpen: (inner) => /<[^>]*(?:call_begin|tool▁call▁begin|invoke)[^<]*$/.test(inner) };
}

function readKimi(text: string): WrittenCall[] {
  return [...text.matchAll(KIMI_CALL)].flatMap(([, id = "", given = ""]) => {
    const name = /^(?:functions?\.)?(.+?)(?::\d+)?$/s.exec(id.trim())?.[1];
    const argumentsText = given.trim() === "" ? "{}" : given.trim();
    if (name === undefined || !isRecord(parseJson(argumentsText))) return [];
    return [{ name, argumentsText, id: id.includes(":") ? id.trim() : undefined }];
  });
}

function readDeepSeek(text: string): WrittenCall[] {
  return [...text.matchAll(DEEPSEEK_CALL)].flatMap(([, head = "", body = ""]) => {
    // The older form: `function`, the name in the second place, arguments in a fence.
    const old = /^\s*([^\n]+)\n\s*```(?:json)?\s*([\s\S]*?)```\s*$/.exec(body);
    const name = (old?.[1] ?? head).trim();
    const argumentsText = (old?.[2] ?? body).trim() || "{}";
    return name !== "" && isRecord(parseJson(argumentsText)) ? [{ name, argumentsText, id: undefined }] : [];
  });
}

function readInvokes(text: string, tools: ReadonlyMap<string, Json> | undefined): WrittenCall[] {
  return [...text.matchAll(INVOKE)].map(([, name = "", body = ""]) =>
    toCall(name.trim(), [...body.matchAll(PARAMETER)], tools),
  );
}

function readFunctions(text: string, tools: ReadonlyMap<string, Json> | undefined): WrittenCall[] {
  return [...text.matchAll(FUNCTION)].map(([, name = "", body = ""]) => {
    const plain = body.trim();
    if (isRecord(parseJson(plain))) return { name: name.trim(), argumentsText: plain, id: undefined };
    return toCall(name.trim(), [...body.matchAll(EQUALS_PARAMETER)], tools);
  });
}

function readTagged(text: string, tools: ReadonlyMap<string, Json> | undefined): WrittenCall[] {
  const json = readJsonCalls(text);
  if (json.length > 0) return json;
  const functions = readFunctions(text, tools);
  if (functions.length > 0) return functions;
  const name = /^\s*([\w.-]+)\s*(?:\n|<arg_key>|$)/.exec(text)?.[1];
  return name === undefined ? [] : [toCall(name, [...text.matchAll(GLM_ARGUMENT)], tools)];
}

/** One JSON call, a list of them, or one a line. */
function readJsonCalls(text: string): WrittenCall[] {
  const whole = parseJson(text.trim());
  const values =
    whole !== undefined
      ? [whole].flat()
      : text
          .trim()
          .split("\n")
          .map((line) => parseJson(line));
  return values.flatMap((value) => {
    const target = isRecord(value) && isRecord(value.function) ? value.function : value;
    if (!isRecord(target) || typeof target.name !== "string") return [];
    const given = target.arguments ?? target.parameters ?? {};
    const argumentsText = typeof given === "string" ? given : JSON.stringify(given);
    return isRecord(parseJson(argumentsText)) ? [{ name: target.name, argumentsText, id: undefined }] : [];
  });
}

/** Parameters in tags are texts; what they stand for is the schema's word. */
function toCall(
  name: string,
  parameters: readonly (readonly string[])[],
  tools: ReadonlyMap<string, Json> | undefined,
): WrittenCall {
  const properties = tools?.get(name)?.properties;
  const given = parameters.map(([, key = "", value = ""]) => {
    const schema = isRecord(properties) ? properties[key.trim()] : undefined;
    return [key.trim(), readParameter(value.replace(/^\n|\n$/g, ""), schema)] as const;
  });
  return { name, argumentsText: JSON.stringify(Object.fromEntries(given)), id: undefined };
}

function readParameter(text: string, schema: unknown): unknown {
  const types = isRecord(schema) ? [schema.type].flat() : [];
  if (types.includes("string") && !(types.includes("null") && text.trim() === "null")) return text;
  const value = parseJson(text.trim());
  return value === undefined ? text : value;
}
