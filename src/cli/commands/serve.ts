import { EXIT } from "../../errors/catalogue.ts";
import { readGatewaySettings } from "../../gateway/gateway-settings.ts";
import { type Listening, type LocalGateway, listen } from "../../gateway/index.ts";
import { LOCAL_KEY_NAME } from "../../gateway/local-key.ts";
import { gatheredLines, logLine } from "../../gateway/log-line.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { openUpstream } from "../local-endpoint.ts";
import { type LocalKey, localGatewayKey } from "../local-gateway-key.ts";
import { escapeUnseen, toSafeJson } from "../render/json.ts";
import { serveIntroduction } from "../render/serve-introduction.ts";
import { isLoopbackHost, type ServeChoices, type ServeFlags, serveChoices } from "../serve-choices.ts";
import { setupOf } from "../setup.ts";
import { show, writeResult } from "../write-result.ts";

/**
 * `zeph serve`: an endpoint on this computer in front of a configured provider, until Ctrl-C. What a
 * client needs goes to standard output, one line of JSON per request to standard error.
 */
export const runServe: RunCommand<ServeFlags> = async (context, flags) => {
  const settings = readGatewaySettings((await setupOf(context)).loaded.config.localGateway);
  const providerName = flags.provider ?? settings.provider;
  const choices = serveChoices(flags, settings);
  const upstream = await openUpstream(context, { provider: providerName, model: flags.model ?? settings.model });
  const { setup, opened } = upstream;
  const { name, model } = opened.config;
  const localKey = choices.keyRequired ? await localGatewayKey(context, setup) : undefined;
  const log = gatheredLines((text) => context.stderr.write(text), context.clock);
  const { aliases, allowedOrigins, allowedHosts, upstreamMode, cleanUp } = choices;
  const gateway = await upstream.gateway({
    ...{ aliases, allowedOrigins, allowedHosts, upstreamMode, cleanUp },
    key: localKey?.key ?? "none",
    onNotice(text) {
      if (flags.quiet === true) return;
      const time = new Date(context.clock.nowMs()).toISOString();
      log.add(toSafeJson({ time, event: "notice", text }));
    },
    onRequest(record) {
      if (flags.quiet === true) return;
      log.add(escapeUnseen(logLine(record, context.clock.nowMs())));
    },
  });
  const { port, host: hostname } = choices;
  const listening = await listen(gateway, { port, hostname, clock: context.clock }).catch((error: unknown) => {
    // It is stored by now, and nothing will call it new again.
    if (localKey?.state === "created") {
      show(context.stderr, `A new local key is kept in the vault as ${LOCAL_KEY_NAME}: ${localKey.key.reveal()}\n`);
    }
    throw error;
  });
  introduce(context, {
    listening,
    choices,
    localKey,
    model,
    provider: { name, baseURL: opened.gonka.baseURL },
    flags,
    usesVault: setup.vaultBackend.backend === "age",
  });
  await untilInterrupted(context.signal);
  await stop(context, gateway, listening).finally(() => log.flush());
  await upstream.flush();
  return EXIT.ok;
};

function introduce(
  context: CliContext,
  {
    listening,
    choices,
    localKey,
    model,
    provider,
    flags,
    usesVault,
  }: {
    readonly listening: Listening;
    readonly choices: ServeChoices;
    readonly localKey: LocalKey | undefined;
    readonly model: string | undefined;
    readonly provider: { readonly name: string; readonly baseURL: string };
    readonly flags: ServeFlags;
    readonly usesVault: boolean;
  },
): void {
  const keyState = localKey?.state ?? "none";
  const isShown = keyState === "created" || keyState === "temporary" || flags.showKey === true;
  const key = isShown ? localKey?.key.reveal() : undefined;
  const { baseURL } = listening;
  const { aliases, upstreamMode, cleanUp, host } = choices;
  const open = isLoopbackHost(host)
    ? ""
    : "Others on the network can reach this address, and what they send travels in clear text.\n";
  writeResult(context, {
    data: {
      baseURL,
      provider,
      model: model ?? null,
      aliases,
      upstreamMode,
      cleanUp,
      key: { name: LOCAL_KEY_NAME, state: keyState, ...(key === undefined ? {} : { value: key }) },
    },
    answer: serveIntroduction({
      baseURL,
      provider,
      model,
      choices,
      key,
      keyState,
      keyName: LOCAL_KEY_NAME,
      keyPlace: localKey?.place ?? "nowhere",
      usesVault,
      vaultFlags: vaultFlagsOf(context),
    }),
    notice: `${open}Waiting for requests; Ctrl-C stops the endpoint.\n`,
  });
}

/** The flags that another command needs to find the same vault. */
function vaultFlagsOf({ paths: { config, vaultKey, vaultFile, vaultBackend } }: CliContext): string {
  const given = { config, "vault-key": vaultKey, "vault-path": vaultFile, vault: vaultBackend };
  return Object.entries(given)
    .flatMap(([name, value]) => (value === undefined ? [] : [` --${name} ${shellWord(value)}`]))
    .join("");
}

function shellWord(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Answers under way go on to their end; a second Ctrl-C leaves at once. */
async function stop(context: CliContext, gateway: LocalGateway, listening: Listening): Promise<void> {
  const { inFlight } = gateway;
  if (inFlight > 0 && !context.json) {
    const what = inFlight === 1 ? "1 answer" : `${inFlight} answers`;
    context.stderr.write(`Waiting for ${what} to end; Ctrl-C again leaves at once.\n`);
  }
  await listening.close();
}
