/** What was done to a request: the names go into headers and the log. */
export interface ChangeLog {
  /** Names a field that is no longer sent. */
  removed(name: string): void;
  /** Names a field that is sent in another form. */
  changed(name: string): void;
  /** Something was changed that means nothing, such as a null taken out. */
  touched(): void;
  readonly summary: ChangeSummary;
}

export interface ChangeSummary {
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** Nothing at all was changed: the caller's own bytes can be sent. */
  readonly isUntouched: boolean;
}

export function changeLog(): ChangeLog {
  const removed = new Set<string>();
  const changed = new Set<string>();
  let isUntouched = true;
  return {
    removed(name) {
      removed.add(name);
      isUntouched = false;
    },
    changed(name) {
      changed.add(name);
      isUntouched = false;
    },
    touched() {
      isUntouched = false;
    },
    get summary() {
      return { removed: [...removed], changed: [...changed], isUntouched };
    },
  };
}
