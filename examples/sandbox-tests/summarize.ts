// Some code of yours that asks a model. It takes the connection, so that a test can give it another one.
import type { GonkaFetch } from "zeph";

export async function summarize(gonka: GonkaFetch, model: string, text: string): Promise<string> {
  const answer = await gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: `Summarize: ${text}` }] }),
  });
  if (!answer.ok) throw new Error(`no summary: ${answer.headers.get("x-zeph-error-code")}`);
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
  return choices[0]?.message.content ?? "";
}
