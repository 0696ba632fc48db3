import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import {
  appendRegularFile,
  appendRegularFileSync,
  readRegularFile,
  readRegularFileSync,
  readRegularText,
  UnusableFile,
} from "./files.ts";

const LIMIT = { maxBytes: 10_000 };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-regular-"));
});

/** Places that are no files: whoever opens the pipe in the usual way waits for ever, the device never ends. */
const SPECIAL: readonly (readonly [kind: string, make: (path: string) => unknown])[] = [
  ["a named pipe", (path) => execFileSync("mkfifo", [path])],
  ["a device", (path) => symlink("/dev/zero", path)],
  ["a folder", (path) => mkdir(path)],
  ["a socket", (path) => new Promise<void>((resolve) => createServer().unref().listen(path, resolve))],
];

const ways: readonly (readonly [name: string, use: (path: string) => unknown])[] = [
  ["read", (path) => readRegularFile(path, LIMIT)],
  ["read at once", async (path) => readRegularFileSync(path, LIMIT)],
  ["added to", (path) => appendRegularFile(path, "x")],
  ["added to at once", async (path) => appendRegularFileSync(path, "x")],
];

describe.runIf(process.platform === "linux")("what is no file", () => {
  describe.each(SPECIAL)("%s", (kind, make) => {
    it.each(ways)("is not %s", async (_name, use) => {
      const path = join(folder, "x");
      await make(path);
      await expect(use(path)).rejects.toThrow(`${path} is ${kind}, not a file`);
    });
  });
});

describe("a file", () => {
  it.each([0, 1, 4095, 4096, 4097, 8194, 10_000])("of %i bytes is read whole", async (size) => {
    const path = join(folder, "x");
    const bytes = Buffer.from(Array.from({ length: size }, (_, index) => index % 251));
    await writeFile(path, bytes);
    expect(await readRegularFile(path, LIMIT)).toEqual(bytes);
    expect(readRegularFileSync(path, LIMIT)).toEqual(bytes);
  });

  it("beyond the limit is not read, however long", async () => {
    const path = join(folder, "x");
    const file = await open(path, "w");
    await file.truncate(5 * 1024 ** 3);
    await file.close();
    await expect(readRegularFile(path, { maxBytes: 1024 * 1024 })).rejects.toThrow(`${path} is larger than 1 MiB`);
    expect(() => readRegularFileSync(path, { maxBytes: 64 * 1024 })).toThrow(`${path} is larger than 64 KiB`);
  });

  it.runIf(process.platform === "linux")("that says it is empty and is not, is bounded all the same", async () => {
    expect((await readRegularFile("/proc/self/status", LIMIT))?.length).toBeGreaterThan(100);
    await expect(readRegularFile("/proc/self/status", { maxBytes: 100 })).rejects.toThrow("is larger than");
  });

  it("that is not there is none", async () => {
    const path = join(folder, "missing", "x");
    expect(await readRegularFile(path, LIMIT)).toBeUndefined();
    expect(readRegularFileSync(path, LIMIT)).toBeUndefined();
    await writeFile(join(folder, "file"), "");
    expect(await readRegularFile(join(folder, "file", "x"), LIMIT)).toBeUndefined();
  });

  it("is added to, and made for its owner alone", async () => {
    const path = join(folder, "x");
    expect(await appendRegularFile(path, "one\n")).toBe(4);
    expect(appendRegularFileSync(path, "two\n").sizeBytes).toBe(8);
    expect(await readFile(path, "utf8")).toBe("one\ntwo\n");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(appendRegularFile(join(folder, "no", "x"), "")).rejects.toThrow(UnusableFile);
    expect(() => appendRegularFileSync(join(folder, "no", "x"), "")).toThrow(UnusableFile);
  });
});

describe("a text", () => {
  const read = async (bytes: Uint8Array) => {
    const path = join(folder, "x");
    await writeFile(path, bytes);
    return readRegularText(path, LIMIT);
  };
  const bigEndian = (text: string) => Buffer.from(text, "utf16le").swap16();

  it.each(["", "a", "plain\r\n", "\uFEFFwith a mark", "ключ 🔑"])("in UTF-8 is read as it is: %j", async (text) => {
    expect(await read(Buffer.from(text))).toBe(text);
  });

  it.each([
    ["LE", "with a mark", Buffer.from("\uFEFFmodel = 1\n", "utf16le")],
    ["LE", "without a mark", Buffer.from("model = 1\n", "utf16le")],
    ["BE", "with a mark", bigEndian("\uFEFFmodel = 1\n")],
    ["BE", "without a mark", bigEndian("model = 1\n")],
  ])("in UTF-16%s %s is named as such, with what to type", async (kind, _name, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({
      message: expect.stringContaining("is UTF-16 text"),
      hint: expect.stringMatching(`Set-Content .* -Encoding utf8.*iconv -f UTF-16${kind} -t UTF-8`),
    });
  });

  it("in another encoding is not guessed at", async () => {
    await expect(read(Buffer.from("Schl\u00fcssel", "latin1"))).rejects.toThrow("is not UTF-8 text");
  });
});
