type Fields = Readonly<Record<string, unknown>>;

/**
 * Which messages a node accepts since v0.2.12: rule names of gonka-ai/gonka
 * decentralized-api/completionapi/request_validation.go at 8a35022b.
 * @returns undefined when the messages are fine, else the node's words
 */
export function checkMessages(messages: readonly unknown[]): string | undefined {
  const open = new Set<string>();
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    const problem = isFields(message) ? checkMessage(message, at, open) : `${at} must be an object`;
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkMessage(message: Fields, at: string, open: Set<string>): string | undefined {
  const roleProblem = textProblem(message, "role");
  if (roleProblem !== undefined) return `${at}.role: ${roleProblem}`;
  switch (message.role) {
    case "developer":
    case "system":
    case "user":
      return forbidden(message, at, ["tool_calls", "tool_call_id", "function_call"]) ?? requiredContent(message, at);
    case "assistant":
      return checkAssistant(message, at, open);
    case "tool":
      return (
        forbidden(message, at, ["tool_calls", "function_call"]) ??
        checkToolAnswer(message, at, open) ??
        requiredContent(message, at)
      );
    case "function":
      return (
        forbidden(message, at, ["tool_calls", "tool_call_id", "function_call"]) ??
        prefixed(`${at}.name: `, textProblem(message, "name")) ??
        requiredContent(message, at)
      );
    default:
      return `${at}.role has unsupported value ${JSON.stringify(message.role)}`;
  }
}

function checkAssistant(message: Fields, at: string, open: Set<string>): string | undefined {
  const calls = message.tool_calls;
  const problem =
    forbidden(message, at, ["tool_call_id"]) ??
    ("tool_calls" in message ? checkToolCalls(calls, `${at}.tool_calls`) : undefined) ??
    ("function_call" in message ? checkFunctionCall(message.function_call, `${at}.function_call`) : undefined);
  if (problem !== undefined) return problem;
  const content = message.content;
  if (content === undefined || content === null) {
    if (!("tool_calls" in message) && !("function_call" in message)) {
      return `${at}.content: is required unless tool_calls or function_call is provided`;
    }
  } else {
    const contentIssue = contentProblem(content);
    if (contentIssue !== undefined) return `${at}.content: ${contentIssue}`;
  }
  if (Array.isArray(calls)) for (const call of calls) open.add(String(call.id));
  return undefined;
}

function checkToolAnswer(message: Fields, at: string, open: Set<string>): string | undefined {
  const problem = textProblem(message, "tool_call_id");
  if (problem !== undefined) return `${at}.tool_call_id: ${problem}`;
  if (open.delete(String(message.tool_call_id))) return undefined;
  return `${at}.tool_call_id does not match any previous assistant tool_calls`;
}

function checkToolCalls(calls: unknown, at: string): string | undefined {
  if (!Array.isArray(calls)) return `${at} must be an array`;
  if (calls.length === 0) return `${at} must not be empty`;
  const ids = new Set<unknown>();
  for (const [index, call] of calls.entries()) {
    const problem = checkToolCall(call, `${at}[${index}]`, ids);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkToolCall(call: unknown, at: string, ids: Set<unknown>): string | undefined {
  if (!isFields(call)) return `${at} must be an object`;
  const idProblem = textProblem(call, "id");
  if (idProblem !== undefined) return `${at}.id: ${idProblem}`;
  if (ids.has(call.id)) return `${at}.id is duplicated`;
  ids.add(call.id);
  const typeProblem = textProblem(call, "type");
  if (typeProblem !== undefined) return `${at}.type: ${typeProblem}`;
  if (call.type !== "function") return `${at}.type must be "function"`;
  const target = call.function;
  if (target === undefined || target === null) return `${at}.function is required`;
  return checkFunctionCall(target, `${at}.function`);
}

function checkFunctionCall(target: unknown, at: string): string | undefined {
  if (!isFields(target)) return `${at} must be an object`;
  const nameProblem = textProblem(target, "name");
  if (nameProblem !== undefined) return `${at}.name: ${nameProblem}`;
  const given = target.arguments;
  if (given !== undefined && given !== null && typeof given !== "string") return `${at}.arguments: must be a string`;
  return undefined;
}

function requiredContent(message: Fields, at: string): string | undefined {
  const content = message.content;
  if (content === undefined || content === null) return `${at}.content: is required`;
  return prefixed(`${at}.content: `, contentProblem(content));
}

function contentProblem(content: unknown): string | undefined {
  if (typeof content === "string") return isBlank(content) ? "must not be empty" : undefined;
  if (!Array.isArray(content)) return "must be a string or an array of typed content parts";
  if (content.length === 0) return "must not be empty";
  for (const [index, part] of content.entries()) {
    if (!isFields(part)) return `[${index}] must be an object`;
    const typeProblem = textProblem(part, "type");
    if (typeProblem !== undefined) return `[${index}].type: ${typeProblem}`;
    // Images, sound and types of a model's own are the model server's to take or refuse.
    const partProblem = part.type === "text" ? textProblem(part, "text") : undefined;
    if (partProblem !== undefined) return `[${index}].text: ${partProblem}`;
  }
  return undefined;
}

function forbidden(message: Fields, at: string, names: readonly string[]): string | undefined {
  const present = names.find((name) => name in message);
  return present === undefined ? undefined : `${at}: ${present} is not allowed for this role`;
}

function textProblem(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return "is required";
  if (typeof value !== "string") return "must be a string";
  return isBlank(value) ? "must not be empty" : undefined;
}

function prefixed(prefix: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : prefix + problem;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Blank in Go's sense: U+0085 is a space there, U+FEFF is not. */
function isBlank(text: string): boolean {
  return /^[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$/.test(text);
}
