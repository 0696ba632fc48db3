import type { JsonObject } from "./dialect.ts";

/** A part of a message's content as Chat Completions has it. */
export type ContentPart = { readonly type: string } & JsonObject;

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

interface Assistant {
  role: "assistant";
  content: string | null;
  reasoning_content?: string;
  tool_calls?: JsonObject[];
}

/**
 * Collects the messages of a chat request from APIs that cut a conversation in other places. What an assistant thinks,
 * says and calls in one go becomes one message. Results stand right behind the calls they belong to, whatever stood
 * between; pictures in a result follow as a message of the user, because results are text.
 */
export function conversation() {
  const messages: JsonObject[] = [];
  let pictures: ContentPart[] = [];

  function push(message: JsonObject): void {
    if (pictures.length > 0) {
      const shown = pictures;
      pictures = [];
      messages.push({ role: "user", content: shown });
    }
    messages.push(message);
  }

  function assistant(): Assistant {
    const last = messages.at(-1);
    if (last?.role === "assistant") return last as unknown as Assistant;
    const message: Assistant = { role: "assistant", content: null };
    push(message as unknown as JsonObject);
    return message;
  }

  return {
    system(text: string): void {
      if (text !== "") push({ role: "system", content: text });
    },
    user(parts: readonly ContentPart[]): void {
      if (parts.length > 0) push({ role: "user", content: plainContent(parts) });
    },
    thought(text: string): void {
      if (text === "") return;
      const message = assistant();
      message.reasoning_content = joined(message.reasoning_content, text);
    },
    said(text: string): void {
      if (text === "") return;
      const message = assistant();
      message.content = joined(message.content, text);
    },
    called({ id, name, arguments: input }: ToolCall): void {
      const message = assistant();
      message.tool_calls ??= [];
      message.tool_calls.push({ id, type: "function", function: { name, arguments: input } });
    },
    /** @param isError the tool failed; a chat has no mark for that, so the words say it */
    result(id: string, parts: readonly ContentPart[], isError = false): void {
      const text = parts
        .filter(({ type }) => type === "text")
        .map((part) => String(part.text))
        .join("\n");
      const media = parts.filter(({ type }) => type !== "text");
      const note = media.length > 0 && text === "" ? "(see the attached content below)" : text;
      const message = { role: "tool", tool_call_id: id, content: isError ? failed(note) : note };
      const at = placeOfResult(messages, id);
      if (at === messages.length) messages.push(message);
      else messages.splice(at, 0, message);
      if (media.length > 0) {
        pictures.push({ type: "text", text: `Content that the tool call ${id} returned:` }, ...media);
      }
    },
    messages(): readonly JsonObject[] {
      if (pictures.length > 0) messages.push({ role: "user", content: pictures });
      pictures = [];
      return messages;
    },
  };
}

/** One text is sent as such; everything else stays a list. */
function plainContent(parts: readonly ContentPart[]): unknown {
  const [only] = parts;
  return parts.length === 1 && only?.type === "text" ? only.text : parts;
}

function joined(before: string | null | undefined, text: string): string {
  return before === null || before === undefined ? text : `${before}\n\n${text}`;
}

function failed(text: string): string {
  if (/^\s*error\b/i.test(text)) return text;
  return text === "" ? "Error" : `Error: ${text}`;
}

/** Behind the results that the latest turn with this call already has; at the end when no turn has it. */
function placeOfResult(messages: readonly JsonObject[], id: string): number {
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    const calls = messages[index]?.tool_calls as readonly JsonObject[] | undefined;
    if (calls?.some((call) => call.id === id) !== true) continue;
    let place = index + 1;
    while (messages[place]?.role === "tool") place += 1;
    return place;
  }
  return messages.length;
}
