import type { InitSession } from "./init-session.ts";

/**
 * Whether the record becomes the default one. Asked only when another is; `undefined` leaves it to the plan, which makes
 * the first record the default and changes nothing later.
 */
export async function confirmDefault({ request, facts, ask }: InitSession, name: string): Promise<boolean | undefined> {
  if (request.makeDefault !== undefined) return request.makeDefault;
  const current = facts.config?.providers.find((provider) => provider.isDefault);
  if (ask === undefined || current === undefined || current.name === name) return undefined;
  return ask.confirm({ message: `Use ${name} from now on? (now: ${current.name})`, initial: true });
}
