import { containsKey, looksLikeToken } from "../../brokers/contains-key.ts";
import { mergeBrokers } from "../../brokers/merge-brokers.ts";
import { BROKERS } from "../../brokers/registry.ts";
import { setDefaultProvider, setModel } from "../../config/edit.ts";
import type { ConfigWarning } from "../../config/fault.ts";
import { findConfigFiles } from "../../config/find-config-files.ts";
import { describeOrigin } from "../../config/origin.ts";
import { readTextFile } from "../../config/read-text-file.ts";
import { renderValue } from "../../config/render-toml.ts";
import type { Setting } from "../../config/settings.ts";
import { changeConfig } from "../../config/write.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { lookUpModel } from "../look-up-model.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";

export interface ConfigShowFlags {
  /** `--origin`: say where every value comes from. */
  readonly origin?: boolean;
}

/** `zeph config show`: every value in force, in the file's own terms, keys and tokens masked. */
export const runConfigShow: RunCommand<ConfigShowFlags> = async (context, { origin = false }) => {
  const { loaded, vaultBackend } = await setupOf(context);
  const { settings, warnings, files } = loaded;
  return writeResult(context, {
    data: {
      files: files.found.map(({ path, role }) => ({ path, role })),
      settings: settings.map((setting) => ({ ...setting, origin: describeOrigin(setting.origin) })),
      vaultBackend: { backend: vaultBackend.backend, origin: vaultBackend.origin },
      warnings: warnings.map((warning) => ({ ...warning, origin: describeOrigin(warning.origin) })),
    },
    answer: renderSettings(context, settings, origin),
    notice: [
      ...(files.found.length === 0 ? ["There is no config file yet; `zeph init` makes one.\n"] : []),
      ...besidesTold(warnings).map((warning) => renderWarning(context, warning)),
    ].join(""),
  });
};

function renderSettings({ color }: CliContext, settings: readonly Setting[], withOrigin: boolean): string {
  const { dim } = style(color);
  return renderTable(
    settings.map(({ key, value, origin }) => {
      const line = `${key} = ${renderValue(value)}`;
      return withOrigin ? [line, dim(`# ${describeOrigin(origin)}`)] : [line];
    }),
  );
}

/** An untrusted file was told of while the set-up was read. */
export function besidesTold(warnings: readonly ConfigWarning[]): readonly ConfigWarning[] {
  return warnings.filter(({ kind }) => kind !== "untrusted_file");
}

export function renderWarning({ color }: CliContext, { message, origin }: ConfigWarning): string {
  const { yellow, dim } = style(color);
  return `${toTerminalLine(`${yellow("!")} ${message} ${dim(`(${describeOrigin(origin)})`)}`)}\n`;
}

/** `zeph config path`: the file that set-up writes, also when it is faulty or not there yet. */
export const runConfigPath: RunCommand<Record<never, never>> = async (context) => {
  const { found, writePath, paths } = await findConfigFiles({
    ...context,
    flags: context.paths,
    readFile: readTextFile,
  });
  const searched = paths.explicit === undefined ? [...paths.project, ...paths.user] : [paths.explicit.path];
  const read = found.map(({ path, role, trust }) => ({ path, role, trusted: trust === "trusted" }));
  const others = read.filter(({ path }) => path !== writePath).map(({ path }) => `Also read, above it: ${path}\n`);
  const missing = read.some(({ path }) => path === writePath) ? "" : "It does not exist yet; `zeph init` makes it.\n";
  return writeResult(context, {
    data: { path: writePath, read, searched },
    answer: `${writePath}\n`,
    exact: true,
    notice: `${others.join("")}${missing}`,
  });
};

export interface ConfigSetFlags {
  /** What to set: the model of a provider, or the default provider. */
  readonly key: string;
  readonly value: string;
  /** `--provider NAME`: whose model; default the default provider's. */
  readonly provider?: string;
}

/**
 * `zeph config set model ID` and `zeph config set provider NAME`: changes one line of the file and keeps the rest. A model
 * is looked up in the live list: written as the list spells it, and with a warning when it is not there.
 */
export const runConfigSet: RunCommand<ConfigSetFlags> = async (context, { key, value, provider }) => {
  const setup = await setupOf(context);
  const { files, config } = setup.loaded;
  const brokers = mergeBrokers(BROKERS, config.brokers);
  // Brokers of the config have prefixes of their own, which nobody knew when the command line was looked at.
  if ([key, value, provider ?? ""].some((text) => containsKey(text, brokers) || looksLikeToken(text))) {
    throw new ZephError("secret_on_command_line", { detail: "what is given to config set looks like a key" });
  }
  if (!files.found.some(({ path }) => path === files.writePath)) {
    throw new ZephError("config_not_found", { detail: files.writePath });
  }
  const name = provider ?? config.providers.find(({ isDefault }) => isDefault)?.name ?? "";
  const { id, warning } = key === "model" ? await lookUpModel(context, name, value) : { id: value };
  // The list may have taken a while to come: what the file says by now is what is changed.
  const change = (now: string | undefined) => changeSetting(now ?? "", key, id, name);
  const { path, backupPath, previous, text } = await changeConfig(files.writePath, change, context);
  return writeResult(context, {
    data: {
      path,
      backupPath: backupPath ?? null,
      key,
      value: id,
      changed: text !== previous,
      warning: warning ?? null,
    },
    notice: [
      text === previous ? `${path} says so already.\n` : `${path} is changed.\n`,
      id === value ? "" : `The list spells it ${id}; that is what was written.\n`,
      warning === undefined ? "" : `! ${warning}\n`,
    ].join(""),
  });
};

function changeSetting(text: string, key: string, value: string, name: string): string {
  if (key === "model") return setModel(text, name, value);
  if (key === "provider") return setDefaultProvider(text, value);
  throw new ZephError("usage", {
    detail: `"${key}" cannot be set this way`,
    hint: "Give `model ID` or `provider NAME`; for everything else edit the file that `zeph config path` names.",
  });
}
