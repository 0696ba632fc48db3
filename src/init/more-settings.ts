import type { Ask } from "./ask.ts";

/** Settings that have a default nobody needs to know. Absent: the default. */
export interface MoreSettings {
  readonly maxTokens?: number;
  readonly requestTimeoutSeconds?: number;
  readonly maxAttempts?: number;
  readonly maxConcurrent?: number;
}

/** The questions of `--full`. Plain Enter keeps the default, which is then not written into the file. */
export async function askMoreSettings(ask: Ask): Promise<MoreSettings> {
  const maxTokens = await askNumber(ask, "Longest answer, in tokens", 4096);
  const requestTimeoutSeconds = await askNumber(ask, "Longest wait for the first byte, in seconds", 120);
  const maxAttempts = await askNumber(ask, "Attempts per request", 3);
  const maxConcurrent = await askNumber(ask, "Requests at once (0: no limit)", 0);
  return {
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(requestTimeoutSeconds === undefined ? {} : { requestTimeoutSeconds }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(maxConcurrent === undefined ? {} : { maxConcurrent }),
  };
}

async function askNumber(ask: Ask, message: string, usual: number): Promise<number | undefined> {
  const text = await ask.text({
    message,
    initial: String(usual),
    check: (value) => {
      const isNumber = /^\d{1,7}$/.test(value) && (Number(value) > 0 || usual === 0);
      return isNumber ? undefined : "This must be a whole number.";
    },
  });
  return Number(text) === usual ? undefined : Number(text);
}
