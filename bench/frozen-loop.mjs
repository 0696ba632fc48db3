// How long one legal request of up to 10 MB keeps the endpoint from everything else: the longest blocked stretch of the
// event loop per request, by monitorEventLoopDelay, with server and upstream in this process and the caller in another.
// Usage: npm run build, then `node bench/frozen-loop.mjs [part of a case's name]`.
import { fork } from "node:child_process";
import { createServer, request } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

const RESOLUTION_MS = 1;

/** Bodies by name; each at most 10 MiB, each legal JSON. */
const CASES = {
  "small request": () => chat("hello"),
  "900,000 unknown fields": () => {
    const fields = Array.from({ length: 900_000 }, (_, index) => `"f${index}":1`);
    return (
      `{"model":"m","messages":[{"role":"user","content":"x"}],${fields.join(",").slice(0, 10_000_000)}`.replace(
        /,"?f?\d*"?:?$/,
        "",
      ) + "}"
    );
  },
  "900,000 fields below metadata": () =>
    with_("metadata", `{${Array.from({ length: 800_000 }, (_, i) => `"f${i}":1`).join(",")}}`),
  "50,000 tools": () => with_("tools", `[${Array.from({ length: 50_000 }, (_, i) => tool(i)).join(",")}]`),
  "50,000 functions": () =>
    with_(
      "functions",
      `[${Array.from({ length: 50_000 }, (_, i) => `{"name":"f${i}","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}`).join(",")}]`,
    ),
  "1,000 tools with 10 KB schemas": () =>
    with_("tools", `[${Array.from({ length: 1_000 }, (_, i) => tool(i, schema(100))).join(",")}]`),
  "1,000 tools with references": () =>
    with_("tools", `[${Array.from({ length: 1_000 }, (_, i) => tool(i, refSchema(40))).join(",")}]`),
  "100 tools with 100 KB schemas": () =>
    with_("tools", `[${Array.from({ length: 100 }, (_, i) => tool(i, schema(1_000))).join(",")}]`),
  "a tool with a 9 MB schema": () => with_("tools", `[${tool(0, schema(90_000))}]`),
  "a million nested arrays": () => with_("metadata", "[".repeat(1_000_000) + "]".repeat(1_000_000)),
  "a million flat empty arrays": () => with_("x", `[${"[],".repeat(1_000_000)}[]]`),
  "5 million zeros": () => with_("x", `[${"0,".repeat(4_999_000)}0]`),
  "2,048 messages of 5 KB": () => messages(2_048, JSON.stringify("word ".repeat(980))),
  "2,048 messages of escapes": () => messages(2_048, JSON.stringify('"\n'.repeat(1_200))),
  "one prompt of 10 MB": () => chat("word ".repeat(2_000_000)),
  "one prompt of 10 MB that is cleaned": () => chat("word ".repeat(2_000_000), ',"tags":["x"]'),
  "one prompt of 9 MB in Chinese": () => chat("\u6f22\u5b57".repeat(1_500_000)),
  "one prompt of escapes": () => chat("\n".repeat(4_900_000)),
  "300,000 content parts": () =>
    withMessages(
      `[{"role":"user","content":[${Array.from({ length: 250_000 }, () => '{"type":"text","text":"x"}').join(",")}]}]`,
    ),
  "70,000 tool calls": () =>
    withMessages(
      `[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[${Array.from({ length: 70_000 }, (_, i) => `{"id":"c${i}","type":"function","function":{"name":"f","arguments":"{}"}}`).join(",")}]},${Array.from({ length: 2_000 }, () => '{"role":"tool","tool_call_id":"none","content":"x"}').join(",")}]`,
    ),
  "20,000 tool calls and results": () =>
    withMessages(
      `[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[${Array.from({ length: 20_000 }, (_, i) => `{"id":"c${i}","type":"function","function":{"name":"f","arguments":"{}"}}`).join(",")}]},${Array.from({ length: 2_000 }, () => '{"role":"tool","tool_call_id":"none","content":"x"}').join(",")}]`,
    ),
  "8,000 unknown fields": () => with_("x", `1,${Array.from({ length: 8_000 }, (_, i) => `"f${i}":1`).join(",")}`),
  "99,000 fields of 1,000 tools": () =>
    with_("tools", `[${Array.from({ length: 1_000 }, (_, i) => tool(i, schema(31))).join(",")}]`),
  "230 tools with references": () =>
    with_("tools", `[${Array.from({ length: 230 }, (_, i) => tool(i, refSchema(40))).join(",")}]`),
  "20 tools that refer 250 times to a wide schema": () =>
    with_("tools", `[${Array.from({ length: 20 }, (_, i) => tool(i, wide(4_000))).join(",")}]`),
  "a tool that refers 250 times to 9 MB": () => with_("tools", `[${tool(0, wide(1, "d".repeat(9_000_000)))}]`),
  "a tool with long references": () => with_("tools", `[${tool(0, wide(1, "d", "/a".repeat(4_000_000)))}]`),
  "24,000 tool calls and results": () =>
    withMessages(
      `[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[${Array.from({ length: 22_000 }, (_, i) => `{"id":"c${i}","function":{"name":"f","arguments":"{}"}}`).join(",")}]},${Array.from({ length: 2_000 }, () => '{"role":"tool","tool_call_id":"none","content":"x"}').join(",")}]`,
    ),
  "49,000 content parts": () =>
    withMessages(
      `[{"role":"user","content":[${Array.from({ length: 49_000 }, () => '{"type":"text","text":"x"}').join(",")}]}]`,
    ),
  "195 siblings of 510 levels": () =>
    with_("x", `[${Array.from({ length: 195 }, () => "[".repeat(509) + "]".repeat(509)).join(",")}]`),
  "490,000 zeros": () => with_("x", `[${"0,".repeat(490_000)}0]`),
  "10 MB of stop sequences": () => with_("stop", `[${Array.from({ length: 700_000 }, (_, i) => `"s${i}"`).join(",")}]`),
  "logit_bias of 600,000": () =>
    with_("logit_bias", `{${Array.from({ length: 600_000 }, (_, i) => `"${i}":1`).join(",")}}`),
  "embeddings of 2 million tokens": () => `{"model":"embed","input":[${"1234,".repeat(1_900_000)}1]}`,
};

function chat(content, more = "") {
  return withMessages(`[{"role":"user","content":${JSON.stringify(content)}}]`, more);
}
function withMessages(list, more = "") {
  return `{"model":"m","messages":${list}${more}}`;
}
function with_(name, json) {
  return `{"model":"m","messages":[{"role":"user","content":"x"}],"${name}":${json}}`;
}
function messages(count, content) {
  return withMessages(
    `[${Array.from({ length: count }, (_, i) => `{"role":"${i % 2 === 0 ? "user" : "assistant"}","content":${content}}`).join(",")}]`,
  );
}
function tool(index, parameters = '{"type":"object","properties":{"a":{"type":"string"}}}') {
  return `{"type":"function","function":{"name":"tool_${index}","description":"Does it.","parameters":${parameters}}}`;
}
function schema(properties) {
  return `{"type":"object","properties":{${Array.from({ length: properties }, (_, i) => `"p${i}":{"type":"string","description":"${"d".repeat(55)}"}`).join(",")}}}`;
}
function wide(fields, text = "d", more = "") {
  return `{"type":"object","properties":{${Array.from({ length: 250 }, (_, i) => `"p${i}":{"$ref":"#/$defs/D"}`).join(",")}},"$defs":{"D":{"$ref":"#/$defs/E${more}",${Array.from({ length: fields }, (_, i) => `"x${i}":1`).join(",")}},"E":{"description":"${text}"}}}`;
}
function refSchema(count) {
  const names = Array.from({ length: count }, (_, i) => i);
  return `{"type":"object","properties":{${names.map((i) => `"p${i}":{"$ref":"#/$defs/D${i}"}`).join(",")}},"$defs":{${names.map((i) => `"D${i}":{"type":"object","properties":{"a":{"type":"string"},"b":{"$ref":"#/$defs/D${(i + 1) % count}"}}}`).join(",")}}}`;
}

if (process.argv[2] === "--caller") {
  process.on("message", ({ url, name }) => {
    const body = Buffer.from(CASES[name]());
    const path = name.startsWith("embeddings") ? "/embeddings" : "/chat/completions";
    const startedMs = performance.now();
    const call = request(
      url + path,
      {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "content-length": body.length,
          authorization: "Bearer k-0123456789abcdef0123456789abcdef",
        },
      },
      (response) => {
        let text = "";
        response
          .setEncoding("utf8")
          .on("data", (piece) => (text += piece))
          .on("end", () => {
            process.send({
              bytes: body.length,
              status: response.statusCode,
              text: text.slice(0, 120),
              totalMs: performance.now() - startedMs,
            });
          });
      },
    );
    call.on("error", (error) =>
      process.send({ bytes: body.length, status: 0, text: String(error), totalMs: performance.now() - startedMs }),
    );
    call.end(body);
  });
} else {
  const { gonkaFetch } = await import("../dist/index.js");
  const { listen, localGateway } = await import("../dist/gateway/index.js");
  const ANSWER = JSON.stringify({
    id: "c",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
  });
  // The upstream only swallows: what it does must not stand in for the endpoint's own work.
  const upstream = createServer((incoming, outgoing) => {
    incoming.resume().on("end", () => outgoing.setHeader("content-type", "application/json").end(ANSWER));
  });
  await new Promise((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const gonka = gonkaFetch({ kind: "broker", baseURL: `http://127.0.0.1:${upstream.address().port}/v1`, apiKey: "k" });
  const { baseURL, close } = await listen(
    localGateway({ upstream: gonka, key: "k-0123456789abcdef0123456789abcdef" }),
    { port: 0 },
  );
  const caller = fork(fileURLToPath(import.meta.url), ["--caller"]);
  const wanted = process.argv[2] ?? "";
  const ask = (name) =>
    new Promise((resolve) => {
      caller.once("message", resolve);
      caller.send({ url: baseURL, name });
    });
  await ask("small request");
  for (const name of Object.keys(CASES).filter((each) => each.includes(wanted))) {
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delay.enable();
    const { bytes, status, text, totalMs } = await ask(name);
    delay.disable();
    console.log(
      `${(delay.max / 1e6).toFixed(0).padStart(6)} ms  ${String(status).padEnd(3)} ${(bytes / 1e6).toFixed(1).padStart(4)} MB  ${totalMs.toFixed(0).padStart(6)} ms  ${name}${status === 200 ? "" : `: ${text}`}`,
    );
  }
  caller.kill();
  await close({ graceMs: 100 });
  upstream.closeAllConnections();
  upstream.close();
}
