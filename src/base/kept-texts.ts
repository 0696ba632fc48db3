/** Texts that are kept for a while, by an id and by further names. One that cannot be reached finds nothing and keeps nothing. */
export interface KeptTexts {
  /** Takes the place of an earlier one of the same id. */
  put(entry: KeptText): void;
  get(id: string): Promise<string | undefined>;
  /** By one of its further names; where several have the name, the latest. */
  find(name: string): Promise<string | undefined>;
  /** Was it there? */
  remove(id: string): Promise<boolean>;
}

export interface KeptText {
  readonly id: string;
  readonly names: readonly string[];
  readonly text: string;
}

/** In the memory of this process. The oldest go first. Only texts and ids: whoever reads them makes sense of them. */
export function memoryTexts({ maxTexts = 1024, maxChars = 64 * 1024 * 1024 } = {}): KeptTexts {
  const kept = new Map<string, KeptText>();
  const owners = new Map<string, string>();
  let chars = 0;
  function remove(id: string): boolean {
    const entry = kept.get(id);
    if (entry === undefined) return false;
    kept.delete(id);
    chars -= entry.text.length;
    for (const name of entry.names) if (owners.get(name) === id) owners.delete(name);
    return true;
  }
  return {
    put(entry) {
      remove(entry.id);
      if (entry.text.length > maxChars) return;
      kept.set(entry.id, entry);
      chars += entry.text.length;
      for (const name of entry.names) owners.set(name, entry.id);
      for (const oldest of kept.keys()) {
        if (kept.size <= maxTexts && chars <= maxChars) break;
        remove(oldest);
      }
    },
    get: async (id) => kept.get(id)?.text,
    find: async (name) => kept.get(owners.get(name) ?? "")?.text,
    remove: async (id) => remove(id),
  };
}
