// Calls the route as the page would, and prints what the page would show.
import { POST } from "./route.ts";

const response = await POST(
  new Request("http://localhost:3000/api/chat", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      messages: [{ id: "1", role: "user", parts: [{ type: "text", text: process.argv[2] ?? "Count to 5." }] }],
    }),
  }),
);
console.log(`${response.status} ${response.headers.get("content-type")}`);

for (const line of (await response.text()).split("\n")) {
  if (!line.startsWith("data: {")) continue;
  const part = JSON.parse(line.slice("data: ".length));
  if (part.type === "text-delta") process.stdout.write(part.delta);
  if (part.type === "error") console.log(`error: ${part.errorText}`);
}
console.log();
