import { type CANCEL_SYMBOL, confirm, intro, log, outro, password, select, text } from "@clack/prompts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { Ask } from "./ask.ts";
import type { InitWorld } from "./init-world.ts";
import { withStatusLine } from "./status-line.ts";
import type { Tell } from "./tell.ts";

/** The conversation at the terminal, on standard input and standard error. Only words and keys: it decides nothing. */
export interface Wizard {
  readonly ask: Ask;
  readonly tell: Tell;
  begin(title: string): void;
  end(words: string): void;
}

/** More lines than this scroll. */
const MAX_CHOICES_SHOWN = 12;

export function terminalWizard(world: Pick<InitWorld, "stdin" | "stderr" | "signal" | "clock">): Wizard {
  const output = { output: world.stderr };
  return {
    ask: terminalAsk(world),
    tell: {
      info: (words) => log.info(words, output),
      done: (words) => log.step(words, output),
      warn: (words) => log.warn(words, output),
      fail: (words) => log.error(words, output),
      work: (label, task) => withStatusLine(world, label, task),
    },
    begin: (title) => intro(title, output),
    end: (words) => outro(words, output),
  };
}

function terminalAsk({ stdin, stderr, signal }: Pick<InitWorld, "stdin" | "stderr" | "signal">): Ask {
  const streams = { input: stdin, output: stderr, signal };
  return {
    async select({ message, choices, initial }) {
      const options = choices.map(({ label, hint }, index) => ({
        value: index,
        label,
        ...(hint === undefined ? {} : { hint }),
      }));
      const initialValue = Math.max(
        0,
        choices.findIndex(({ value }) => value === initial),
      );
      const shown = {
        ...streams,
        message,
        options,
        initialValue,
        maxItems: MAX_CHOICES_SHOWN,
        showInstructions: false,
      };
      const chosen = choices[unlessCancelled(await select(shown))];
      if (chosen === undefined) throw new ZephError("internal", { detail: "a choice that was not offered" });
      return chosen.value;
    },
    async hidden({ message, check }) {
      const validate = (value = "") => (value.trim() === "" ? "Nothing was typed." : check?.(new Secret(value)));
      return new Secret(unlessCancelled(await password({ ...streams, message, validate, clearOnError: true })));
    },
    async text({ message, initial, placeholder, check }) {
      const answer = await text({
        ...streams,
        message,
        validate: (value = "") => check?.(value.trim()),
        ...(initial === undefined ? {} : { initialValue: initial }),
        ...(placeholder === undefined ? {} : { placeholder }),
      });
      // clack gives undefined for an input that was left empty.
      return (unlessCancelled<string | undefined>(answer) ?? "").trim();
    },
    async confirm({ message, initial = false }) {
      return unlessCancelled(await confirm({ ...streams, message, initialValue: initial }));
    },
  };
}

/** clack answers Ctrl-C with a symbol in the place of the value; here it becomes an error, once. */
function unlessCancelled<T>(answer: T | typeof CANCEL_SYMBOL): T {
  if (typeof answer === "symbol") throw new ZephError("cancelled");
  return answer;
}
