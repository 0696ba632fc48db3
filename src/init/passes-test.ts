import { EXIT, type ZephErrorCode } from "../errors/catalogue.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Choice } from "./ask.ts";
import type { InitSession } from "./init-session.ts";
import { printable } from "./printable.ts";
import type { TestReply } from "./test-message.ts";

export interface TestOptions {
  readonly model: string;
  readonly send: () => Promise<TestReply>;
  /** Whether another key can be had: some endpoints list their models to everybody, and refuse a wrong key only now. */
  readonly keyIsReplaceable: boolean;
}

/**
 * Sends the test message and shows the reply. After a failure the user decides whether to go on; without a terminal the
 * failure is thrown. Returns nothing when there is no reply to speak of.
 */
export async function passesTest(
  { request, tell, ask }: InitSession,
  { model, send, keyIsReplaceable }: TestOptions,
): Promise<TestReply | "another-key" | undefined> {
  for (;;) {
    const outcome = await tryTest({ request, tell, ask }, { model, send, keyIsReplaceable });
    if (outcome !== "again") return outcome;
  }
}

async function tryTest(
  { request, tell, ask }: Pick<InitSession, "request" | "tell" | "ask">,
  { model, send, keyIsReplaceable }: TestOptions,
): Promise<TestReply | "another-key" | "again" | undefined> {
  if (!request.test) return undefined;
  try {
    const reply = await tell.work(`Waiting for ${printable(model)}`, send);
    tell.done(`${printable(model)} replied:${describeReply(reply)}`);
    return reply;
  } catch (error) {
    if (!ZephError.is(error) || error.code === "cancelled" || ask === undefined) throw error;
    const words = error.detail === undefined ? error.summary : `${error.summary}: ${printable(error.detail)}`;
    tell.fail(`The test message failed. ${words}\n${error.hint}`);
    if (error.exitCode === EXIT.billing) {
      const next = await ask.select(withoutMoney({ keyIsReplaceable }));
      return next === "keep" ? undefined : next;
    }
    if (keyIsReplaceable && KEY_FAULTS.has(error.code)) {
      if (await ask.confirm({ message: "Paste another key?", initial: true })) return "another-key";
    }
    if (await ask.confirm({ message: "Continue anyway?" })) return undefined;
    throw new ZephError("cancelled", {
      detail: "the test message failed, so the config was not written",
      cause: error,
    });
  }
}

/** Nothing about the set-up is wrong: money comes, now or later. */
export function withoutMoney({ keyIsReplaceable }: Pick<TestOptions, "keyIsReplaceable">) {
  type Next = "again" | "keep" | "another-key";
  const choices: Choice<Next>[] = [
    { value: "again", label: "Try again", hint: "when the account has been topped up" },
    { value: "keep", label: "Keep this set-up", hint: "it works as soon as there is money" },
  ];
  if (keyIsReplaceable) choices.push({ value: "another-key", label: "Paste another key" });
  return { message: "What now?", choices };
}

const KEY_FAULTS: ReadonlySet<ZephErrorCode> = new Set([
  "invalid_api_key",
  "management_key",
  "account_not_ready",
  "forbidden",
]);

function describeReply({ text, finishReason, elapsedMs, promptTokens, completionTokens, costUsd }: TestReply): string {
  const empty =
    finishReason === "length"
      ? "(no text yet: the model was still thinking at 64 tokens; that is fine)"
      : "(an empty answer; the connection works)";
  const facts = [
    `${(elapsedMs / 1000).toFixed(1)} s`,
    promptTokens === undefined || completionTokens === undefined
      ? undefined
      : `${promptTokens} tokens in, ${completionTokens} out`,
    costUsd === undefined ? undefined : `$${costUsd.toFixed(6)}`,
  ];
  return `\n${text === "" ? empty : printable(text)}\n${facts.filter((fact) => fact !== undefined).join(" · ")}`;
}
