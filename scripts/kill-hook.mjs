// Loaded before zeph (`node --import`): ends the process, or fills the disk, at a chosen step of its work on files.
// TRIAL_AT=7 the seventh step; TRIAL_KIND=before | after | half (kill before or after it, or with half of what it writes on
// the disk) | full (from then on the disk takes nothing). Without TRIAL_AT the number of steps goes to TRIAL_COUNT.
import { writeFileSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const at = Number(process.env.TRIAL_AT ?? 0);
const kind = process.env.TRIAL_KIND ?? "before";
// An hour later than what stands in the folder: a copy made in the same second would need a step more for a free name.
const realNow = Date.now;
Date.now = () => realNow() + 3_600_000;

/** What changes the disk. Reading is not a step: being killed while reading changes nothing. */
const CHANGES = ["mkdir", "rename", "link", "unlink", "rmdir", "writeFile"];
let step = 0;

const kill = () => process.kill(process.pid, "SIGKILL");
const full = () => Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });

async function stepped(run, { half, takesSpace }) {
  step += 1;
  if (kind === "full") {
    if (step < at || at === 0 || !takesSpace) return run();
    await half?.();
    throw full();
  }
  if (step !== at) return run();
  if (kind === "before") kill();
  if (kind === "half") {
    await (half ?? (() => {}))();
    kill();
  }
  const result = await run();
  kill();
  return result;
}

for (const name of CHANGES) {
  const original = files[name];
  files[name] = (...given) =>
    stepped(() => original(...given), {
      takesSpace: name !== "unlink" && name !== "rmdir" && name !== "rename",
      half:
        name === "writeFile" ? () => original(given[0], given[1].slice(0, given[1].length / 2), given[2]) : undefined,
    });
}

const openFile = files.open;
files.open = async (path, flags, mode) => {
  const writes = typeof flags === "string" ? /[wa+]/.test(flags) : ((flags ?? 0) & 0o101) !== 0;
  if (!writes) return openFile(path, flags, mode);
  const file = await stepped(() => openFile(path, flags, mode), { takesSpace: true });
  for (const name of ["writeFile", "appendFile"]) {
    const original = file[name].bind(file);
    file[name] = (content) =>
      stepped(() => original(content), {
        takesSpace: true,
        half: () => original(content.slice(0, Math.floor(content.length / 2))),
      });
  }
  return file;
};
syncBuiltinESMExports();

process.on("exit", () => {
  if (process.env.TRIAL_COUNT !== undefined) writeFileSync(process.env.TRIAL_COUNT, String(step));
});
