import { rm } from "node:fs/promises";
import { argv, stdin } from "node:process";
import { endMarked } from "./agent-processes.ts";

/*
 * A program of its own beside every `zeph launch`: whatever ends zeph, also in a way that zeph cannot notice, closes the
 * pipe to this program, which then ends the agent and takes the run's folder away. Arguments: the mark of the run, and
 * the folder. A word on the pipe means that zeph has done all that by itself.
 */

const [, , mark = "", folder = ""] = argv;
let isDone = false;
stdin.on("data", () => {
  isDone = true;
});
stdin.on("close", async () => {
  if (isDone || mark === "") return;
  await endMarked(mark);
  await rm(folder, { recursive: true, force: true });
});
stdin.resume();
