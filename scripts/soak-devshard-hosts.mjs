// The other side of `npm run soak -- devshard-chats`: sixteen hosts and their chain in a process of their own, a third of
// them with a fault that changes all the time. Prints where they are, and tells what the chain paid when it is asked.
import { startDevshard } from "../dist/sandbox/devshard/devshard.js";
import { fastClock } from "./soak-devshard-clock.mjs";

const HOSTS = 16;
const FAULTY = [2, 5, 8, 11, 14];
const FAULTS = [
  {},
  { dead: true },
  { loseReply: true },
  { cutBeforeMeta: true },
  { afterReceipt: "fail" },
  { afterReceipt: "cut" },
  { afterReceipt: "break" },
  { refuse: { status: 503, message: "not yet", error: "initializing" } },
  { refuse: { status: 429, message: "rate limit exceeded" } },
  { stateSignature: "withheld" },
  { stateSignature: "wrong" },
  { stateRoot: "wrong" },
  { verdict: "invalid" },
  { crlf: true, comments: true, splitUtf8: true, chunkDelayMs: 20 },
];

const clock = fastClock(Number(process.argv[2]));
const params = { maxNonce: 100_000, sealGraceNonces: 100, sealGraceSeconds: 60, autoSealEvery: 50 };
const network = await startDevshard({ hosts: HOSTS, params, clock });
let turn = 0;
const changing = setInterval(() => {
  const faulty = FAULTY.map((index) => network.hosts[index]);
  const host = faulty[turn % faulty.length];
  host.faults.clear();
  host.faults.set(FAULTS[turn % FAULTS.length]);
  // Now and then one of them comes back without what it knew.
  if (turn % 23 === 22) host.host.restart({ keepState: turn % 2 === 0 });
  turn += 1;
}, 150);

const user = network.createUser();
process.on("message", ({ kind, byMs }) => {
  if (kind === "mend") {
    clearInterval(changing);
    for (const { faults } of network.hosts) faults.clear();
    clock.advance(byMs);
    process.send({ kind });
  }
  if (kind === "account") {
    const payments = network.payments.map(({ why, refund, perSlot }) => ({
      why,
      refund: String(refund),
      perSlot: perSlot.map(({ amount }) => String(amount)),
    }));
    process.send({ kind, payments, violations: network.violations, turns: turn });
  }
});
process.once("disconnect", () => process.exit());
console.log(
  JSON.stringify({
    sourceUrl: network.sourceUrl,
    privateKeyHex: user.privateKeyHex,
    model: network.chain.models[0],
  }),
);
