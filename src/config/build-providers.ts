import type { ConfigWarning, Fault } from "./fault.ts";
import type { MergedRecord } from "./merge-records.ts";
import { type ProviderConfig, type ProviderContext, toCompatibleProvider, toGonkaProvider } from "./provider.ts";
import { type IsAddress, recordFaults, secretNameClashes } from "./record-faults.ts";
import { insecureUrlFields, recordWarnings } from "./record-warnings.ts";
import { compatibleRecord, gonkaRecord, recordKind } from "./schema.ts";
import { readShape } from "./shape.ts";

/** Knowledge that lives in other layers and is passed in. */
export interface ConfigChecks {
  /** Is this a bech32 address with this prefix and a good checksum? */
  readonly isAddress: IsAddress;
  /** Is this address on this computer? */
  readonly isLoopback: (url: string) => boolean;
}

export interface BuiltProviders {
  /** Complete only when there are no faults. */
  readonly providers: readonly ProviderConfig[];
  readonly faults: readonly Fault[];
  readonly warnings: readonly ConfigWarning[];
}

/** Turns merged records into providers, and says all that is wrong or odd about them. */
export function buildProviders(
  records: readonly MergedRecord[],
  checks: ConfigChecks,
  requestTimeoutMs: number,
): BuiltProviders {
  const insecure = records.map(({ table }) => insecureUrlFields(table, checks.isLoopback));
  return {
    providers: records.flatMap((record, index) => {
      const hasInsecureUrl = (insecure[index] ?? []).length > 0;
      const { name, isDefault } = record;
      return toProvider(record, { name, isDefault, requestTimeoutMs, hasInsecureUrl }) ?? [];
    }),
    faults: [
      ...records.flatMap((record, index) => recordFaults(record, index, checks.isAddress)),
      ...secretNameClashes(records),
    ],
    warnings: records.flatMap((record, index) => recordWarnings(record, index, insecure[index] ?? [])),
  };
}

/** `undefined` for a record with faults. */
function toProvider({ table }: MergedRecord, context: ProviderContext): ProviderConfig | undefined {
  const { values } = table;
  switch (recordKind(values.type)) {
    case "other":
      return { type: "other", name: context.name, isDefault: context.isDefault, declaredType: String(values.type) };
    case "compatible": {
      const { data } = readShape(compatibleRecord, values);
      return data?.base_url === undefined ? undefined : toCompatibleProvider(data, data.base_url, context);
    }
    case "gonka": {
      const { data } = readShape(gonkaRecord, values);
      return data === undefined ? undefined : toGonkaProvider(data, context);
    }
  }
}
