// The other side of the soak: a sandbox in a process of its own, with a fault every now and then. Prints where it is.
import { startSandbox } from "../dist/sandbox/index.js";

const FAULTS = [
  { kind: "status", status: 503 },
  { kind: "refuse", how: "reset" },
  { kind: "cut", afterFrames: 2 },
  { kind: "error-in-stream", afterFrames: 2 },
  { kind: "no-done" },
  { kind: "drip", chunkBytes: 20, delayMs: 1 },
  { kind: "html-page" },
];

const sandbox = await startSandbox({ network: { nodes: 3 } });
const { broker, network } = sandbox;
setInterval(() => broker.faults.next(FAULTS[Math.floor(Math.random() * FAULTS.length)]), 100).unref();

console.log(
  JSON.stringify({
    baseURL: broker.baseURL,
    key: broker.keys.good,
    nodes: network.nodes.map(({ baseURL, address }) => ({ baseURL, address })),
    privateKeyHex: network.createAccount({ balanceNgonka: 10n ** 18n }).privateKeyHex,
  }),
);
process.once("disconnect", () => process.exit());
