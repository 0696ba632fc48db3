import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { signingVectors } from "../../test/support/signing-vectors.ts";
import { manualClock } from "../base/time.ts";
import { newFacts } from "./check.ts";
import { selfTestCheck } from "./native.ts";

const facts = newFacts({
  env: {},
  homeDir: "/",
  platform: "linux",
  cwd: "/",
  clock: manualClock(),
  random: () => 0,
  fetch: () => Promise.reject(new Error("offline")),
});
const { signal } = new AbortController();

async function vectorsFile(change: (text: string) => string): Promise<URL> {
  const path = join(await mkdtemp(join(tmpdir(), "zeph-vectors-")), "signing.json");
  await writeFile(path, change(JSON.stringify(signingVectors)));
  return pathToFileURL(path);
}

describe("the signer's known answers", () => {
  it("come out, and the whole set is there", async () => {
    const result = await selfTestCheck().run(facts, signal);
    expect(result).toMatchObject({ status: "ok" });
    expect(result.detail).toMatch(/^24 known answers/);
  });

  it("are compared: one wrong signature is found", async () => {
    const [first] = signingVectors.signing;
    const right = first?.expected_signature_base64 ?? "";
    const wrong = (right.startsWith("A") ? "B" : "A") + right.slice(1);
    const vectors = await vectorsFile((text) => text.replaceAll(right, wrong));
    await expect(selfTestCheck(vectors).run(facts, signal)).rejects.toThrow(/known answer .* does not come out/);
  });

  it("are compared: one wrong address is found", async () => {
    const [first] = signingVectors.signing;
    const right = first?.expected_address ?? "";
    const vectors = await vectorsFile((text) =>
      text.replaceAll(`"expected_address":"${right}"`, '"expected_address":"x"'),
    );
    await expect(selfTestCheck(vectors).run(facts, signal)).rejects.toThrow("does not come out");
  });

  it("are missed when an installation lost them", async () => {
    const check = selfTestCheck(pathToFileURL("/nowhere/signing.json"));
    await expect(check.run(facts, signal)).rejects.toMatchObject({ code: "internal", hint: /Install zeph again/ });
  });
});
