import { existsSync } from "node:fs";
import { join } from "node:path";
import { zephFolders } from "../config/paths.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import type { World } from "./context.ts";
import { toContext } from "./global-flags.ts";
import { noticesTold, tellOnce } from "./notices.ts";
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
    await remindOfEscrows(argv, world);
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

/** Money that is lost when nobody settles in time is spoken of at every start. Without a folder nothing is loaded. */
async function remindOfEscrows([command]: readonly string[], world: World): Promise<void> {
  if (command === "completion" || command === "devshard") return;
  const stateFolder = zephFolders(world).state;
  if (!existsSync(join(stateFolder, "devshard"))) return;
  const { deadlineNotices } = await import("../transport/devshard-index.ts");
  for (const notice of deadlineNotices(stateFolder, world.clock.nowMs())) tellOnce(world, notice);
}

function toZephError(thrown: unknown, world: World): ZephError {
  if (ZephError.is(thrown)) return thrown;
  if (world.signal.aborted) return new ZephError("cancelled");
  const detail = scrub(thrown instanceof Error ? thrown.message : String(thrown));
  return new ZephError("internal", { detail, cause: thrown });
}
