import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { readRegularFile } from "../../base/files.ts";
import type { HeaderView } from "../../base/header-fields.ts";
import type { Answer } from "../answer.ts";

/** The files that a browser gets, from one folder. */
interface PageFiles {
  /** `undefined` when there is no such file. @param path `index.html`, `app.js`, `lib/preact.js` … */
  answer(path: string, headers: HeaderView): Promise<Answer | undefined>;
}

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  png: "image/png",
  ico: "image/x-icon",
  json: "application/json",
  webmanifest: "application/manifest+json",
  woff2: "font/woff2",
};

/** Names of plain words: nothing that climbs, nothing that is hidden. */
const PLAIN_PATH = /^(?:[A-Za-z0-9][\w-]*\/){0,3}[A-Za-z0-9][\w.-]*\.([a-z0-9]+)$/;
const MAX_BYTES = 4 * 1024 * 1024;
/** Smaller ones fit into one packet as they are. */
const COMPRESSED_FROM_BYTES = 1024;

interface KeptFile {
  /** Changes whenever the file does. */
  readonly version: string;
  readonly etag: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly policy: string;
  compressed: Map<string, Promise<Uint8Array<ArrayBuffer>>>;
}

/** Files are read once and again when they have changed, and each is compressed once. */
export function pageFiles(folder: string): PageFiles {
  const kept = new Map<string, KeptFile>();

  async function read(path: string): Promise<KeptFile | undefined> {
    const ending = PLAIN_PATH.exec(path)?.[1] ?? "";
    const type = Object.hasOwn(TYPES, ending) ? TYPES[ending] : undefined;
    if (type === undefined || path.includes("..")) return undefined;
    const file = join(folder, path);
    const facts = await stat(file).catch(() => undefined);
    if (facts === undefined || !facts.isFile()) return undefined;
    const version = `${facts.mtimeMs} ${facts.size}`;
    const known = kept.get(path);
    if (known?.version === version) return known;
    const bytes = await readRegularFile(file, { maxBytes: MAX_BYTES });
    if (bytes === undefined) return undefined;
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    const policy = path === "index.html" ? contentPolicy(bytes.toString("utf8")) : contentPolicy("");
    const fresh = { version, etag, type, bytes: new Uint8Array(bytes), policy, compressed: new Map() };
    kept.set(path, fresh);
    return fresh;
  }

  return {
    async answer(path, headers) {
      const file = await read(path);
      if (file === undefined) return undefined;
      const common = {
        "content-type": file.type,
        "content-security-policy": file.policy,
        // Asked for again each time, and then answered with 304: an update is seen at once.
        "cache-control": "no-cache",
        vary: "accept-encoding",
        etag: file.etag,
      };
      if (namesTag(headers.get("if-none-match"), file.etag)) return { status: 304, headers: common, body: null };
      const encoding = file.bytes.length < COMPRESSED_FROM_BYTES ? undefined : encodingFor(headers, file.type);
      if (encoding === undefined) return { status: 200, headers: common, body: file.bytes };
      const body = file.compressed.get(encoding) ?? compress(file.bytes, encoding);
      file.compressed.set(encoding, body);
      return { status: 200, headers: { ...common, "content-encoding": encoding }, body: await body };
    },
  };
}

function namesTag(given: string | null, etag: string): boolean {
  return (given ?? "").split(",").some((each) => each.trim().replace(/^W\//, "") === etag);
}

type Encoding = "br" | "gzip";

function encodingFor(headers: HeaderView, type: string): Encoding | undefined {
  if (/^(?:image\/(?!svg)|font\/)/.test(type)) return undefined;
  const accepted = headers.get("accept-encoding") ?? "";
  return (["br", "gzip"] as const).find((each) =>
    new RegExp(`(?:^|[\\s,])${each}(?!\\s*;\\s*q=0(?![.\\d]*[1-9]))`).test(accepted),
  );
}

/** A tenth of the time of the best there is, for one byte in a hundred more: the first visitor waits for it. */
const QUALITY = 5;

async function compress(bytes: Uint8Array, encoding: Encoding): Promise<Uint8Array<ArrayBuffer>> {
  const packed =
    encoding === "br"
      ? await promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: QUALITY } })
      : await promisify(gzip)(bytes, { level: QUALITY });
  return new Uint8Array(packed);
}

/** What a browser lets the page do: nothing from elsewhere, no script in the text of the page but its import map. */
export function contentPolicy(html: string): string {
  const hashes = [...html.matchAll(/<script type="importmap">([\s\S]*?)<\/script>/g)].map(
    ([, map = ""]) => `'sha256-${createHash("sha256").update(map).digest("base64")}'`,
  );
  return [
    "default-src 'none'",
    ["script-src 'self'", ...hashes].join(" "),
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}
