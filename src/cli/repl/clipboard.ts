import { findProgram } from "../../init/find-program.ts";
import { runProgram } from "../../init/run-program.ts";
import type { CliContext, TerminalStream } from "../context.ts";
import type { Repl } from "./repl.ts";

/** `/copy`: the last answer; `/copy code`: the last block of code in it. */
export async function copyAnswer(repl: Repl, argument: string): Promise<void> {
  if (argument !== "" && argument !== "code") return repl.print("Say /copy for the answer, or /copy code.\n");
  const answer = repl.conversation.exchanges.findLast((exchange) => exchange.answer !== "")?.answer;
  if (answer === undefined) return repl.print("There is no answer to copy yet.\n");
  const text = argument === "code" ? lastCodeBlock(answer) : answer.trim();
  if (text === undefined) return repl.print("There is no block of code in the last answer.\n");
  const way = await copyToClipboard(repl.context, repl.screen, text);
  const what = argument === "code" ? "The code" : "The answer";
  const size = `${text.length} character${text.length === 1 ? "" : "s"}`;
  if (way === undefined) return repl.print(TOO_LONG);
  repl.print(
    way === "program"
      ? `${what} is in the clipboard (${size}).\n`
      : `${what} went to your terminal's clipboard (${size}).\n`,
  );
}

const TOO_LONG =
  "This is too long for the terminal's clipboard, and no clipboard program was found. /save writes a file.\n";

function lastCodeBlock(answer: string): string | undefined {
  const blocks = [...answer.matchAll(/^ {0,3}(`{3,}|~{3,})[^\n]*\n([\s\S]*?)^ {0,3}\1[ \t]*$/gm)];
  return blocks.at(-1)?.[2]?.replace(/\n$/, "");
}

/** What terminals take at most in one such sequence (xterm and its relatives: 100,000 signs). */
const MAX_OSC_CHARS = 100_000;
const PROGRAM_LIMIT_MS = 2_000;

/**
 * By the clipboard program of this computer, where there is one and the user sits at it; else, and within tmux too, by the
 * terminal itself (OSC 52), which also works over SSH. A terminal that does not know the sequence passes over it.
 */
async function copyToClipboard(
  context: CliContext,
  screen: TerminalStream,
  text: string,
): Promise<"program" | "terminal" | undefined> {
  const isCopied = await copyByProgram(context, text);
  const base64 = Buffer.from(text, "utf8").toString("base64");
  if (base64.length <= MAX_OSC_CHARS && context.env.TERM !== "dumb") {
    // Written as it is: it is ours, and `print` would make it harmless.
    screen.write(`\u001b]52;c;${base64}\u0007`);
    return isCopied ? "program" : "terminal";
  }
  return isCopied ? "program" : undefined;
}

async function copyByProgram(context: CliContext, text: string): Promise<boolean> {
  const { env, platform, clock, signal } = context;
  for (const [name, ...args] of programsFor(context)) {
    const file = await findProgram(name, { env, platform });
    if (file === undefined) continue;
    try {
      // Some stay behind and keep their outputs open: whoever waited for the end of these would wait for ever.
      const outputs = { stdout: "terminal", stderr: "terminal" } as const;
      const limits = { timeLimitMs: PROGRAM_LIMIT_MS, clock, signal };
      if ((await runProgram({ file, args, env, stdin: { text }, ...outputs, ...limits })).exitCode === 0) return true;
    } catch {
      // It could not be started; the next one, or the terminal, may do better.
    }
  }
  return false;
}

type Program = readonly [name: string, ...args: string[]];

/** A program on the far side of an SSH connection would fill the clipboard of a computer nobody looks at. */
function programsFor({ env, platform }: Pick<CliContext, "env" | "platform">): readonly Program[] {
  const has = (name: string) => (env[name] ?? "") !== "";
  const tmux: readonly Program[] = has("TMUX") ? [["tmux", "load-buffer", "-w", "-"]] : [];
  if (has("SSH_CONNECTION") || has("SSH_TTY")) return tmux;
  if (platform === "darwin") return [["pbcopy"]];
  if (platform === "win32") return [["clip"]];
  return [
    ...(has("WAYLAND_DISPLAY") ? [["wl-copy"] as const] : []),
    ...(has("DISPLAY")
      ? ([
          ["xsel", "--clipboard", "--input"],
          ["xclip", "-selection", "clipboard"],
        ] as const)
      : []),
    ...(has("WSL_DISTRO_NAME") ? [["clip.exe"] as const] : []),
    ...(has("TERMUX_VERSION") ? [["termux-clipboard-set"] as const] : []),
    ...tmux,
  ];
}
