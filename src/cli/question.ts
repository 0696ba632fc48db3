import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { decodeText, fileErrorCode, readRegularFile, readRegularText, UnusableFile } from "../base/files.ts";
import type { CliContext } from "../base/world.ts";
import type { ImageAttachment } from "../chat/conversation.ts";
import { zephFolders } from "../config/files.ts";
import { ZephError } from "../errors.ts";
import { nearest } from "../wire/models.ts";
import { readQuestion } from "./input.ts";

/** Flags that say what a question is made of. */
export interface QuestionFlags {
  readonly prompt?: readonly string[];
  /** `-f FILE`, repeatable: texts that go with the question. */
  readonly file?: readonly string[];
  /** `-a IMAGE`, repeatable. */
  readonly attach?: readonly string[];
  /** `-t NAME`: a file of the templates folder. */
  readonly template?: string;
}

/** A question with everything that goes with it. */
interface Question {
  readonly text: string;
  readonly images: readonly ImageAttachment[];
}

/** What a Gonka node accepts for one request; brokers take less. */
const MAX_BYTES = 10 * 1024 * 1024;

/** As base64 they are a third longer, and the request around them has its own length. */
const MAX_IMAGES_BYTES = 7 * 1024 * 1024;
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/**
 * The whole question of one command: words, then files, then what is piped in, put into the template where there is one.
 * Throws `missing_input`, `request_too_large`, `usage` for files that are not what they should be.
 */
export async function readWholeQuestion(context: CliContext, flags: QuestionFlags): Promise<Question> {
  const { file = [], attach = [], template } = flags;
  const [before, texts, images] = [
    template === undefined ? undefined : await readTemplate(context, template),
    await readTexts(context, file),
    await readImages(context, attach),
  ];
  const isComplete = texts.length > 0 || (before !== undefined && !PLACEHOLDER.test(before));
  const { typed, piped } = await readQuestion(context, flags.prompt ?? [], { isOptional: isComplete });
  const input = [typed, ...texts, piped].filter((part) => part !== "").join("\n\n");
  return { text: before === undefined ? input : fillIn(before, input), images };
}

/** Does anything but words make this a question? Then it is one also where a conversation could begin. */
export function isPutTogether({ file = [], attach = [], template }: QuestionFlags): boolean {
  return file.length > 0 || attach.length > 0 || template !== undefined;
}

const PLACEHOLDER = /\{\{\s*input\s*\}\}/;

function fillIn(template: string, input: string): string {
  if (!PLACEHOLDER.test(template)) return [template.trim(), input].filter((part) => part !== "").join("\n\n");
  return template.trim().replace(new RegExp(PLACEHOLDER, "g"), () => input);
}

/** A template as `zeph templates` lists it. */
interface Template {
  readonly name: string;
  readonly path: string;
  /** Its first line. */
  readonly begins: string;
}

/** Where templates lie: the user's own config folder. */
export function templatesFolder(context: CliContext): string {
  return join(zephFolders(context).config, "templates");
}

/** By name. A file's ending is not part of its name; what cannot be read is left out. */
export async function listTemplates(context: CliContext): Promise<readonly Template[]> {
  const folder = templatesFolder(context);
  const found = await Promise.all(
    (await fileNames(folder)).map(async (file) => {
      const path = join(folder, file);
      const text = await readRegularText(path, { maxBytes: MAX_TEMPLATE_BYTES }).catch(() => undefined);
      if (text === undefined) return undefined;
      const begins = text.split("\n").find((line) => line.trim() !== "") ?? "";
      return { name: nameOf(file), path, begins: begins.trim() };
    }),
  );
  return found.filter((each) => each !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function fileNames(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith(".") && !name.endsWith("~"));
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw new ZephError("usage", { detail: `${folder} cannot be read`, cause: error });
  }
}

function nameOf(file: string): string {
  return file.replace(/\.(?:md|txt)$/i, "");
}

async function readTemplate(context: CliContext, name: string): Promise<string> {
  const folder = templatesFolder(context);
  // Names come from the folder's own list, so that none leads out of it.
  const file = (await fileNames(folder)).find((each) => each === name || nameOf(each) === name);
  if (file === undefined) {
    const names = (await listTemplates(context)).map((template) => template.name);
    const hint =
      names.length === 0
        ? `Write one into ${folder}, as ${name}.md; {{input}} in it stands for the question.`
        : `There is ${nearest(name, names, 3).join(", ")}. \`zeph templates\` lists all.`;
    throw new ZephError("usage", { detail: `there is no template "${name}"`, hint });
  }
  const text = await readNamed(join(folder, file), (path) => readRegularText(path, { maxBytes: MAX_TEMPLATE_BYTES }));
  return text.replace(/^\ufeff/, "");
}

/** Each text behind the name of its file, between fences that it does not hold itself. */
async function readTexts(context: CliContext, files: readonly string[]): Promise<readonly string[]> {
  let sizeBytes = 0;
  const texts: string[] = [];
  for (const file of files) {
    const bytes = await readNamed(resolve(context.cwd, file), (path) => readRegularFile(path, { maxBytes: MAX_BYTES }));
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_BYTES) throw tooLarge("the files have more than 10 MiB together");
    texts.push(fenced(file, textIn(file, bytes)));
  }
  return texts;
}

function textIn(file: string, bytes: Buffer): string {
  if (imageType(bytes) !== undefined) {
    throw new ZephError("usage", { detail: `${file} is an image`, hint: `Give it with: -a ${file}` });
  }
  try {
    const text = decodeText(file, bytes).replace(/^\ufeff/, "");
    if (!text.includes("\0")) return text;
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    throw new ZephError("usage", { detail: error.message, hint: error.hint, cause: error });
  }
  throw new ZephError("usage", { detail: `${file} is not text`, hint: "Give texts with -f and images with -a." });
}

function fenced(file: string, text: string): string {
  const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map(({ length }) => length));
  const fence = "`".repeat(longest + 1);
  return `${file}:\n\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}

async function readImages(context: CliContext, files: readonly string[]): Promise<readonly ImageAttachment[]> {
  let sizeBytes = 0;
  const images: ImageAttachment[] = [];
  for (const file of files) {
    const bytes = await readNamed(resolve(context.cwd, file), (path) =>
      readRegularFile(path, { maxBytes: MAX_IMAGES_BYTES }),
    );
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_IMAGES_BYTES) throw tooLarge("the images have more than 7 MiB together");
    const mediaType = imageType(bytes);
    if (mediaType === undefined) {
      const hint = "Give texts with -f; other pictures have to be converted first.";
      throw new ZephError("usage", { detail: `${file} is no PNG, JPEG, WebP or GIF image`, hint });
    }
    images.push({ name: basename(file), mediaType, base64: bytes.toString("base64") });
  }
  return images;
}

/** By what the file begins with; its ending may say anything. */
function imageType(bytes: Buffer): string | undefined {
  const begins = (...signature: readonly number[]) => signature.every((byte, index) => bytes[index] === byte);
  if (begins(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  const text = bytes.toString("latin1", 0, 12);
  if (text.startsWith("GIF8")) return "image/gif";
  return text.startsWith("RIFF") && text.endsWith("WEBP") ? "image/webp" : undefined;
}

/** A file that the user named: whatever keeps it from being read is said in words. */
async function readNamed<Content>(
  path: string,
  read: (path: string) => Promise<Content | undefined>,
): Promise<Content> {
  const content = await read(path).catch((cause: unknown) => {
    if (!(cause instanceof UnusableFile)) throw cause;
    if (cause.code === "too_large") throw tooLarge(cause.message);
    throw new ZephError("usage", { detail: cause.message, hint: cause.hint, cause });
  });
  if (content === undefined) throw new ZephError("missing_input", { detail: `${path} does not exist` });
  return content;
}

function tooLarge(detail: string): ZephError {
  return new ZephError("request_too_large", { detail, hint: "A node takes 10 MiB in one request; models read less." });
}
