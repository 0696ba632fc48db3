// The least a reverse proxy on node:http can do: no key, no checks, no log; bytes both ways.
import { Agent, createServer, request as forward } from "node:http";

const agent = new Agent({ keepAlive: true });
const [, , port, upstreamPort] = process.argv;
const server = createServer((incoming, outgoing) => {
  const { method, url: path, headers } = incoming;
  const upstream = forward({ agent, host: "127.0.0.1", port: upstreamPort, method, path, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  outgoing.on("close", () => upstream.destroy());
  upstream.on("error", () => outgoing.destroy());
  incoming.pipe(upstream);
});
// Connections outlive the pauses between turns, so that none is closed while a request is on its way to it.
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1", () => process.send?.({ ready: true }));
