import { fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { addAbortSignal } from "node:stream";
import { readRegularFile, readRegularText, UnusableFile, utf16Kind } from "../base/files.ts";
import { Secret } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import type { CliContext } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import type { Ask, Choice } from "../init/session.ts";
import { type VaultPaths, vaultPaths } from "../vault/files.ts";
import type { AskPassphrase } from "../vault/key.ts";
import { Vault } from "../vault/vault.ts";

/**
 * Asks for a secret on the terminal without showing it. An empty input is asked again. Throws `not_interactive` without
 * a terminal and `cancelled` for Ctrl-C.
 *
 * @param check what is wrong with the input, in words that do not repeat it; it is then asked again in place
 */
export async function promptHidden(
  context: CliContext,
  message: string,
  check?: (value: Secret) => string | undefined,
): Promise<Secret> {
  return (await terminal(context)).hidden({ message, check });
}

/** Asks for a line of text. Throws as {@link promptHidden} does. */
export async function promptText(context: CliContext, message: string): Promise<string> {
  return (await terminal(context)).text({ message });
}

/** Asks for yes or no; plain Enter means `initial`. Throws as {@link promptHidden} does. */
export async function promptConfirm(
  context: CliContext,
  message: string,
  { initial = false }: { readonly initial?: boolean } = {},
): Promise<boolean> {
  return (await terminal(context)).confirm({ message, initial });
}

/** Lets the user choose one of several. Throws as {@link promptHidden} does. */
export async function promptSelect<Value>(
  context: CliContext,
  message: string,
  choices: readonly Choice<Value>[],
): Promise<Value> {
  return (await terminal(context)).select({ message, choices });
}

/** Loaded only when something is asked: most runs of most commands ask nothing. */
async function terminal(context: CliContext): Promise<Ask> {
  if (!context.interactive) throw new ZephError("not_interactive");
  return (await import("../init/prompts.ts")).terminalAsk(context);
}

const TRIES = 3;

/** Where the vault of this run is: flags > variables > default folder, the same for every command. */
export function vaultPathsOf({ env, homeDir, platform, paths }: CliContext): VaultPaths {
  return vaultPaths({ env, homeDir, platform, flags: paths });
}

/** A clock whose waits Ctrl-C and SIGTERM end, for those who wait for a lock. */
export function interruptibleClock({ clock, signal }: Pick<CliContext, "clock" | "signal">): Clock {
  return { ...clock, nowMs: () => clock.nowMs(), sleep: (delayMs, own) => clock.sleep(delayMs, own ?? signal) };
}

/** Opens the vault of this run and asks for its passphrase when it has one, at a terminal up to three times. */
export async function openVault(context: CliContext): Promise<Vault> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const clock = interruptibleClock(context);
      return await Vault.open({ paths: vaultPathsOf(context), clock, passphrase: passphraseSource(context) });
    } catch (error) {
      const mayTryAgain = ZephError.is(error) && error.code === "vault_wrong_passphrase" && asksOnTerminal(context);
      if (!mayTryAgain || attempt === TRIES) throw error;
      context.stderr.write("That passphrase does not open the key file.\n");
    }
  }
}

/**
 * Where the passphrase comes from: the file that `ZEPH_VAULT_PASSPHRASE_FILE` names, else a hidden prompt when there is
 * a terminal, else nowhere, which makes the vault say `vault_locked`. A worker asks the process that started it.
 */
export function passphraseSource(context: CliContext): AskPassphrase {
  if (context.passphraseOfFirst !== undefined) return context.passphraseOfFirst;
  return async () => {
    const path = passphraseFile(context);
    if (path !== undefined) return readPassphraseFile(path, context.platform);
    if (context.interactive) return promptHidden(context, "Passphrase of the vault's key file");
    return undefined;
  };
}

/** Would the passphrase be typed, and not read from a file? */
export function asksOnTerminal(context: CliContext): boolean {
  return context.interactive && passphraseFile(context) === undefined;
}

/** The file that a passphrase is read from in place of a prompt. */
export function passphraseFile({ env }: CliContext): string | undefined {
  return env.ZEPH_VAULT_PASSPHRASE_FILE === "" ? undefined : env.ZEPH_VAULT_PASSPHRASE_FILE;
}

const MAX_PASSPHRASE_BYTES = 64 * 1024;

async function readPassphraseFile(path: string, platform: NodeJS.Platform): Promise<Secret> {
  const unusable = (cause?: unknown) => {
    const isOurs = cause instanceof UnusableFile;
    const detail = isOurs ? `the passphrase file ${cause.message}` : `the passphrase file ${path} cannot be read`;
    return new ZephError("vault_locked", { detail, hint: isOurs ? cause.hint : undefined, cause });
  };
  try {
    const text = await readRegularText(path, { maxBytes: MAX_PASSPHRASE_BYTES });
    if (text === undefined) throw unusable();
    if (platform !== "win32" && ((await stat(path)).mode & 0o077) !== 0) {
      throw new ZephError("vault_permissions", { detail: path, hint: `Run: chmod 600 ${path}` });
    }
    const passphrase = text.replace(/\r?\n$/, "");
    if (passphrase === "") throw new ZephError("vault_locked", { detail: `the passphrase file ${path} is empty` });
    return new Secret(passphrase);
  } catch (error) {
    throw ZephError.is(error) ? error : unusable(error);
  }
}

/** What a Gonka node accepts for one request; brokers take less. */
const MAX_QUESTION_BYTES = 10 * 1024 * 1024;

/** How long a parent program that started us gets to begin writing, when the question is on the command line already. */
const SOCKET_GRACE_MS = 300;

/** After this a user who did not mean to pipe anything is told why nothing happens. */
const NOTICE_AFTER_MS = 1_000;

type QuestionContext = Pick<CliContext, "stdin" | "stderr" | "clock" | "signal">;

/**
 * The question of a one-shot command: the words of the command line, what comes on standard input, or both
 * (`zeph ask "summarise" < report.txt`). Throws `missing_input` when there is neither, unless something else makes the
 * question complete, `request_too_large` above 10 MiB, `cancelled` for Ctrl-C while it waits.
 */
export async function readQuestion(
  context: QuestionContext,
  words: readonly string[],
  { isOptional = false } = {},
): Promise<{ readonly typed: string; readonly piped: string }> {
  const typed = words.join(" ").trim();
  const piped = context.stdin.isTTY === true ? "" : (await readPiped(context, typed !== "" || isOptional)).trim();
  if (isOptional || typed !== "" || piped !== "") return { typed, piped };
  throw new ZephError("missing_input", {
    detail: "the question",
    hint: 'Type it behind the command, as in `zeph ask "why is the sky blue?"`, or pipe it in.',
  });
}

async function readPiped(context: QuestionContext, hasWords: boolean): Promise<string> {
  const { stdin, stderr, clock } = context;
  if (hasWords && isSocket(stdin) && !(await beginsWithin(stdin, clock, SOCKET_GRACE_MS))) {
    stdin.destroy();
    return "";
  }
  const cancelNotice = clock.schedule(NOTICE_AFTER_MS, () => {
    stderr.write(
      "Waiting for standard input to end … (Ctrl-D; programs that pipe nothing in can give `< /dev/null`)\n",
    );
  });
  try {
    return await readText(context);
  } finally {
    cancelNotice();
  }
}

/**
 * A shell's pipe is a FIFO, and nobody can tell `slow-command | zeph ask` from a program that leaves a FIFO open for
 * nothing: it is read to its end, with a notice. A socket is what Node and others give the programs they start, often to write nothing and
 * never close it; waiting for its end would hang.
 */
function isSocket(stdin: CliContext["stdin"]): boolean {
  return "fd" in stdin && typeof stdin.fd === "number" && fstatSync(stdin.fd).isSocket();
}

function beginsWithin(stdin: CliContext["stdin"], clock: CliContext["clock"], delayMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (begins: boolean) => {
      cancel();
      for (const event of ["readable", "end"]) stdin.off(event, onBegin);
      resolve(begins);
    };
    const onBegin = () => settle(true);
    const cancel = clock.schedule(delayMs, () => settle(false));
    for (const event of ["readable", "end"]) stdin.once(event, onBegin);
  });
}

async function readText(context: QuestionContext): Promise<string> {
  const tooMuch = () => new ZephError("request_too_large", { detail: "standard input has more than 10 MiB" });
  const bytes = await readStdin(context, { maxBytes: MAX_QUESTION_BYTES, tooMuch });
  if (utf16Kind(bytes) !== undefined) {
    const hint =
      "Save it as UTF-8: in PowerShell, `… | Set-Content FILE -Encoding utf8`; elsewhere, `iconv -f UTF-16 -t UTF-8`.";
    throw new ZephError("usage", { detail: "standard input is UTF-16 text, not UTF-8", hint });
  }
  const text = new TextDecoder().decode(bytes);
  if (text.includes("\0")) throw new ZephError("usage", { detail: "standard input is not text" });
  return text;
}

/** What a node takes at most, 10 MiB. */
const MAX_BODY_BYTES = 10_485_760;

/**
 * The bytes of a file, or of standard input up to its end, untouched: a final line break is part of them. Throws
 * `missing_input`, `request_too_large`.
 */
export async function readBody(context: CliContext, file: string | undefined): Promise<Uint8Array> {
  return file === undefined ? readPipedBody(context) : readNamed(resolve(context.cwd, file));
}

async function readPipedBody(context: CliContext): Promise<Uint8Array> {
  if (context.stdin.isTTY === true) {
    throw new ZephError("missing_input", {
      detail: "the body of the request",
      hint: "Give it with --file PATH, or pipe it in.",
    });
  }
  return readStdin(context, { maxBytes: MAX_BODY_BYTES, tooMuch: tooLarge });
}

function tooLarge(): ZephError {
  return new ZephError("request_too_large", { detail: `too many bytes, a node takes ${MAX_BODY_BYTES}` });
}

async function readNamed(path: string): Promise<Uint8Array> {
  const bytes = await readRegularFile(path, { maxBytes: MAX_BODY_BYTES }).catch((cause: unknown) => {
    if (cause instanceof UnusableFile && cause.code === "too_large") throw tooLarge();
    const detail = cause instanceof UnusableFile ? cause.message : `${path} cannot be read`;
    throw new ZephError("missing_input", { detail, hint: "Name a file, or pipe the body in.", cause });
  });
  if (bytes === undefined) throw new ZephError("missing_input", { detail: `${path} does not exist` });
  return bytes;
}

const MAX_SECRET_BYTES = 64 * 1024;

/**
 * Reads one secret from standard input up to its end; one trailing line break is not part of it. Throws
 * `missing_input` when nothing comes, `cancelled`, `usage` for more than 64 KiB or for what is not UTF-8 text.
 */
export async function readStdinSecret(context: Pick<CliContext, "stdin" | "signal">): Promise<Secret> {
  const tooMuch = () => new ZephError("usage", { detail: "standard input has more than 64 KiB: no secret" });
  const value = decode(await readStdin(context, { maxBytes: MAX_SECRET_BYTES, tooMuch })).replace(/\r?\n$/, "");
  if (value === "") {
    throw new ZephError("missing_input", {
      detail: "nothing came on standard input",
      hint: "Pipe the secret in, as in `… < key.txt`; check that the file or the command before it has one.",
    });
  }
  return new Secret(value);
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Replacing the odd bytes, as decoders do by default, would store another secret than the one given.
    throw new ZephError("usage", { detail: "standard input is not UTF-8 text" });
  }
}

interface ReadStdinOptions {
  readonly maxBytes: number;
  /** Thrown when more comes. */
  readonly tooMuch: () => ZephError;
}

/**
 * Standard input up to its end. Ctrl-C ends the wait, which may be for a program that never closes its side. Throws
 * `cancelled`, and `tooMuch`.
 */
async function readStdin(
  { stdin, signal }: Pick<CliContext, "stdin" | "signal">,
  { maxBytes, tooMuch }: ReadStdinOptions,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of addAbortSignal(signal, stdin)) {
      const bytes = Buffer.from(chunk);
      length += bytes.length;
      if (length > maxBytes) throw tooMuch();
      chunks.push(bytes);
    }
  } catch (error) {
    if (signal.aborted) throw new ZephError("cancelled", { cause: error });
    throw error;
  }
  return Buffer.concat(chunks);
}
