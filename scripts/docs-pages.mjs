// The pages that the program itself knows: docs/errors.md and docs/cli.md. Reads the build (dist).
import { PassThrough } from "node:stream";
import { buildProgram } from "../dist/cli/program.js";
import { CATALOGUE } from "../dist/errors.js";

const EXIT_MEANINGS = {
  0: "ok",
  1: "failure",
  2: "usage, missing input",
  10: "unreachable",
  11: "authentication",
  12: "model",
  13: "pricing",
  14: "billing",
  15: "rate limited",
  16: "native path closed",
  17: "config or vault",
  130: "Ctrl-C",
};

/** Text by path, from the root of the project. */
export function generatedPages() {
  return { "docs/errors.md": errorsPage(), "docs/cli.md": cliPage() };
}

function errorsPage() {
  const lines = [
    "# Errors",
    "",
    "Generated from `src/errors.ts` by `npm run docs`. Match on the code; the words may improve.",
    "",
    "## Exit codes",
    "",
    "| code | meaning |",
    "|---|---|",
    ...Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `| ${code} | ${meaning} |`),
    "",
    "## Codes",
    "",
  ];
  for (const [code, { summary, hint, exitCode, httpStatus, retryable }] of Object.entries(CATALOGUE)) {
    lines.push(
      `### ${code}`,
      "",
      `${summary}. ${hint}`,
      "",
      `Exit code ${exitCode} · HTTP ${httpStatus} · ${retryable ? "may succeed later" : "will not succeed by repeating"}`,
      "",
    );
  }
  return lines.join("\n");
}

function cliPage() {
  const stdout = Object.assign(new PassThrough(), { columns: 100 });
  const { program } = buildProgram({ stdout, stderr: stdout, env: {} });
  const lines = ["# Command line", "", "Generated from the commands' own help by `npm run docs`.", ""];
  const visit = (command, path) => {
    lines.push(`## ${path}`, "", "```", helpOf(command), "```", "");
    for (const each of command.commands) if (each.name() !== "help") visit(each, `${path} ${each.name()}`);
  };
  visit(program, "zeph");
  return lines.join("\n");
}

/** With the texts that commander adds around the plain help. */
function helpOf(command) {
  const written = [];
  command.configureOutput({ writeOut: (text) => written.push(text), getOutHelpWidth: () => 100 });
  command.outputHelp();
  return written.join("").trim();
}
