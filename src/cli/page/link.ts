import { randomBytes } from "node:crypto";
import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { readRegularText } from "../../base/files.ts";
import { asObject, readBoundedText } from "../../base/json.ts";
import type { CliContext } from "../../base/world.ts";
import { isSameText, linkProof } from "../../gateway/page/session.ts";
import { isLoopback } from "../../wire/endpoint.ts";

/** What a run of `zeph serve` leaves for `zeph open`: where it is, and a key of this run only. */
interface LinkFile {
  readonly host: string;
  readonly port: number;
  readonly key: string;
}

/** Private files, one for each port. */
export function linkFolder(stateFolder: string): string {
  return join(stateFolder, "page");
}

const MAX_BYTES = 4096;

/** `undefined` for what is not there, and for what no zeph has written. */
export async function readLinkFile(path: string): Promise<LinkFile | undefined> {
  try {
    const value = asObject(JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? ""));
    const { host, port, key } = value ?? {};
    if (typeof host !== "string" || typeof key !== "string" || typeof port !== "number") return undefined;
    const isPort = Number.isInteger(port) && port > 0 && port < 65_536;
    // Only ever this computer, whatever the file says.
    const isOwn = /^(?:[\w.-]+|\[[\da-f:]+\])$/i.test(host) && isLoopback(`http://${host}`);
    return isPort && isOwn && /^[\w-]{43}$/.test(key) ? { host, port, key } : undefined;
  } catch {
    // Not ours, or gone meanwhile.
    return undefined;
  }
}

/** The runs that say they are there, the lowest port first. */
export async function linkFiles(folder: string): Promise<readonly (LinkFile & { readonly path: string })[]> {
  const names = await readdir(folder).catch((): string[] => []);
  const paths = names
    .filter((name) => /^\d{1,5}\.json$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    .slice(0, 64)
    .map((name) => join(folder, name));
  const read = await Promise.all(paths.map(async (path) => ({ path, file: await readLinkFile(path) })));
  return read.flatMap(({ path, file }) => (file === undefined ? [] : [{ ...file, path }]));
}

const WAIT_MS = 3_000;
const MAX_ANSWER_BYTES = 4096;

/**
 * Asks a run for a link. Neither side shows the key: each proves that it knows it, so that a program which has taken the
 * port of an ended run learns nothing, and no link of its own is opened. `undefined` when that run is not there any more, `silent` when it may be.
 */
export async function askForLink(
  { fetch, clock }: Pick<CliContext, "fetch" | "clock">,
  { host, port, key }: LinkFile,
): Promise<string | "silent" | undefined> {
  const origin = `http://${host}:${port}`;
  const nonce = randomBytes(24).toString("base64url");
  const deadline = new AbortController();
  const cancel = clock.schedule(WAIT_MS, () => deadline.abort());
  try {
    const response = await fetch(`${origin}/page/api/link`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-zeph-page": "1" },
      body: JSON.stringify({ nonce, proof: linkProof(key, "ask", nonce) }),
      redirect: "manual",
      signal: deadline.signal,
    });
    const answer = asObject(JSON.parse(await readBoundedText(response.body, MAX_ANSWER_BYTES)));
    const { token, proof } = answer ?? {};
    if (typeof token !== "string" || typeof proof !== "string" || !/^[\w-]{43}$/.test(token)) return undefined;
    return isSameText(proof, linkProof(key, "answer", nonce, token)) ? `${origin}/#token=${token}` : undefined;
  } catch {
    // Nobody listens there, or somebody else does. One that is stopped or busy takes the connection and says nothing.
    return deadline.signal.aborted ? "silent" : undefined;
  } finally {
    cancel();
  }
}

/** Forgets a run that did not answer, unless another has taken its place meanwhile. */
export async function forget({ path, key }: LinkFile & { readonly path: string }): Promise<void> {
  if ((await readLinkFile(path))?.key === key) await unlink(path).catch(() => {});
}
