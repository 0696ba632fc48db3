import { type CleanedChat, cleanChatSteps } from "../../src/rules/clean.ts";

/** All steps of the clean-up at once. */
export function cleanChatRequest(...given: Parameters<typeof cleanChatSteps>): CleanedChat {
  const steps = cleanChatSteps(...given);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
