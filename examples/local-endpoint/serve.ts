// A local OpenAI endpoint of your own, as `zeph serve` is one: every OpenAI client on this computer can use it.
import { randomBytes } from "node:crypto";
import { gonkaFetch } from "zeph";
import { listen, localGateway } from "zeph/gateway";

const upstream = gonkaFetch({
  kind: "broker",
  baseURL: process.env.GONKA_BASE_URL ?? "https://api.gonkagate.com/v1",
  apiKey: process.env.GONKAGATE_API_KEY,
});

// Callers need this key, not the broker's: that one stays in here.
const key = randomBytes(24).toString("base64url");
const gateway = localGateway({
  upstream,
  key,
  aliases: { "gpt-4o": process.env.GONKA_MODEL ?? "moonshotai/kimi-k2.6" },
  onRequest: ({ method, route, status }) => console.log(`${method} ${route} ${status}`),
});

const { baseURL, close } = await listen(gateway, { port: Number(process.env.PORT ?? 8424) });
console.log(`OPENAI_BASE_URL=${baseURL}`);
console.log(`OPENAI_API_KEY=${key}`);

// What is under way may end before the program does.
process.once("SIGTERM", () => void close({ graceMs: 5000 }));
process.once("SIGINT", () => void close({ graceMs: 5000 }));
