import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import type { World } from "./context.ts";
import { toContext } from "./global-flags.ts";
import { noticesTold } from "./notices.ts";
import { buildProgram } from "./program.ts";
import { renderError } from "./render/error.ts";
import { renderJson } from "./render/json.ts";
import { refuseSecretArguments } from "./secret-flags.ts";
import { show } from "./write-result.ts";

/** Runs one command line and returns its exit code. Every error of every command ends here, and only here in words. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  const asksForJson = argv.includes("--json");
  try {
    await refuseSecretArguments(argv);
    return await buildProgram(world).run(argv);
  } catch (thrown) {
    const error = toZephError(thrown, world);
    const { color } = toContext(world, {});
    if (asksForJson) world.stdout.write(renderJson({ error }, noticesTold(world)));
    else show(world.stderr, renderError(error, { color }));
    if (argv.includes("--verbose") && thrown instanceof Error && !ZephError.is(thrown)) {
      show(world.stderr, `${thrown.stack ?? ""}\n`);
    }
    return error.exitCode;
  }
}

function toZephError(thrown: unknown, world: World): ZephError {
  if (ZephError.is(thrown)) return thrown;
  if (world.signal.aborted) return new ZephError("cancelled");
  const detail = scrub(thrown instanceof Error ? thrown.message : String(thrown));
  return new ZephError("internal", { detail, cause: thrown });
}
