import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chatTerminal } from "../../test/support/chat-terminal.ts";
import { type QuestionFlags, readWholeQuestion } from "./commands/ask.ts";
import { runTemplates } from "./commands/providers.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-question-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const ask = (flags: QuestionFlags, piped?: string) =>
  readWholeQuestion(chatTerminal({ folder, ...(piped === undefined ? {} : { piped }) }).context, flags);

const put = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content);

const PNG = Buffer.from("89504e470d0a1a0a0000", "hex");

describe("a question with files", () => {
  it("holds the words, then each file behind its name, then what is piped in", async () => {
    await put("a.txt", "\ufefffirst\n");
    await put("b.md", "with\n````\nfences\n````\n");
    const { text, images } = await ask({ prompt: ["compare", "these"], file: ["a.txt", "b.md"] }, "piped\n");
    expect(text).toBe(
      "compare these\n\na.txt:\n\n```\nfirst\n```\n\nb.md:\n\n`````\nwith\n````\nfences\n````\n`````\n\npiped",
    );
    expect(images).toEqual([]);
    expect((await ask({ file: ["a.txt"] })).text).toContain("first");
  });

  it("refuses at once what is no text, nothing, or too much", async () => {
    await put("utf16.txt", Buffer.from("\ufeffhello", "utf16le"));
    await put("latin1.txt", Buffer.from([0x67, 0xfc, 0xff]));
    await put("zero.txt", "a\0b");
    await put("picture.txt", PNG);
    await put("large.txt", Buffer.alloc(10 * 1024 * 1024 + 1, "x"));
    await put("half.txt", Buffer.alloc(6 * 1024 * 1024, "x"));
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await symlink("/dev/zero", join(folder, "endless"));
    const refusals: readonly [readonly string[], object][] = [
      [
        ["utf16.txt"],
        { code: "usage", detail: expect.stringContaining("UTF-16"), hint: expect.stringContaining("UTF-8") },
      ],
      [["latin1.txt"], { code: "usage", detail: expect.stringContaining("is not UTF-8 text") }],
      [["zero.txt"], { code: "usage", detail: "zero.txt is not text" }],
      [["picture.txt"], { code: "usage", hint: "Give it with: -a picture.txt" }],
      [["large.txt"], { code: "request_too_large" }],
      [["half.txt", "half.txt"], { code: "request_too_large", detail: "the files have more than 10 MiB together" }],
      [["pipe"], { code: "usage", detail: expect.stringContaining("named pipe") }],
      [["endless"], { code: "usage", detail: expect.stringContaining("is a device") }],
      [["."], { code: "usage", detail: expect.stringContaining("is a folder") }],
      [["nowhere.txt"], { code: "missing_input", detail: expect.stringContaining("does not exist") }],
    ];
    for (const [file, error] of refusals) await expect(ask({ prompt: ["?"], file })).rejects.toMatchObject(error);
  });
});

describe("a question with images", () => {
  it("knows them by what they are, and needs words too", async () => {
    await put("shot.dat", PNG);
    await put("photo.jpg", Buffer.from("ffd8ffe000", "hex"));
    await put("anim", "GIF89a....");
    await put("web", "RIFF1234WEBPVP8 ");
    const { images } = await ask({ prompt: ["what?"], attach: ["shot.dat", "photo.jpg", "anim", "web"] });
    expect(images.map(({ mediaType }) => mediaType)).toEqual(["image/png", "image/jpeg", "image/gif", "image/webp"]);
    expect(images[0]).toMatchObject({ name: "shot.dat", base64: PNG.toString("base64") });
    await expect(ask({ attach: ["shot.dat"] })).rejects.toMatchObject({ code: "missing_input" });
    await put("a.svg", "<svg/>");
    await expect(ask({ prompt: ["?"], attach: ["a.svg"] })).rejects.toMatchObject({
      detail: /no PNG, JPEG, WebP or GIF/,
    });
    await put("huge.png", Buffer.concat([PNG, Buffer.alloc(7 * 1024 * 1024)]));
    await expect(ask({ prompt: ["?"], attach: ["huge.png"] })).rejects.toMatchObject({ code: "request_too_large" });
  });
});

describe("a question in a template", () => {
  beforeEach(async () => {
    await mkdir(join(folder, ".config/zeph/templates"), { recursive: true });
    await put(".config/zeph/templates/commit.md", "Write a commit message for:\n\n{{input}}\n\nTwice: {{ input }}\n");
    await put(".config/zeph/templates/summary.txt", "Summarise.\n");
    await put(".config/zeph/templates/.hidden.md", "no");
    await put("outside.md", "secret");
  });

  it("puts the input where the template says, or behind it", async () => {
    expect((await ask({ template: "commit", prompt: ["$& the diff"] })).text).toBe(
      "Write a commit message for:\n\n$& the diff\n\nTwice: $& the diff",
    );
    expect((await ask({ template: "summary" }, "long text")).text).toBe("Summarise.\n\nlong text");
    expect((await ask({ template: "summary.txt" })).text).toBe("Summarise.");
    await expect(ask({ template: "commit" })).rejects.toMatchObject({ code: "missing_input" });
  });

  it.each(["../../../outside", "/etc/passwd", ".hidden", "comit", ""])(
    "takes nothing that is not in the folder: %j",
    async (template) => {
      await expect(ask({ template, prompt: ["x"] })).rejects.toMatchObject({
        code: "usage",
        detail: /there is no template/,
      });
    },
  );

  it("lists them", async () => {
    const { context, stdout, stderr } = chatTerminal({ folder });
    expect(await runTemplates(context, {})).toBe(0);
    expect(stdout.text).toBe("commit   Write a commit message for:\nsummary  Summarise.\n");
    await rm(join(folder, ".config"), { recursive: true });
    await runTemplates(context, {});
    expect(stderr.text).toContain("There are no templates yet.");
    await expect(ask({ template: "x", prompt: ["x"] })).rejects.toMatchObject({ hint: /Write one into .*x\.md/ });
  });
});
