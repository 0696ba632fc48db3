const CONTEXT_LINES = 3;

interface DiffLine {
  readonly kind: "same" | "removed" | "added";
  readonly text: string;
}

/**
 * The difference of two texts in the form of `diff -u`, without the file names; empty when they are equal. Meant for
 * files of some thousand lines at most.
 */
export function unifiedDiff(before: string, after: string): string {
  if (before === after) return "";
  const lines = diffLines(toLines(before), toLines(after));
  return hunksOf(lines)
    .map(([from, to]) => renderHunk(lines, from, to))
    .join("");
}

function toLines(text: string): readonly string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Longest common subsequence, after the equal beginning and end are set aside. */
function diffLines(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  const same = (lines: readonly string[]) => lines.map((text): DiffLine => ({ kind: "same", text }));
  return [
    ...same(before.slice(0, start)),
    ...diffMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...same(before.slice(before.length - end)),
  ];
}

function diffMiddle(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  const lengths = commonLengths(before, after);
  const lengthAt = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const [old, now] = [before[i], after[j]];
    if (old !== undefined && old === now) {
      lines.push({ kind: "same", text: old });
      i += 1;
      j += 1;
    } else if (old !== undefined && (now === undefined || lengthAt(i + 1, j) >= lengthAt(i, j + 1))) {
      lines.push({ kind: "removed", text: old });
      i += 1;
    } else {
      lines.push({ kind: "added", text: now ?? "" });
      j += 1;
    }
  }
  return lines;
}

/** `lengths[i][j]`: how many lines the rests from `i` and `j` on have in common. */
function commonLengths(before: readonly string[], after: readonly string[]): readonly Uint32Array[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i -= 1) {
    const [row, below] = [lengths[i], lengths[i + 1]];
    if (row === undefined || below === undefined) continue;
    for (let j = after.length - 1; j >= 0; j -= 1) {
      row[j] = before[i] === after[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return lengths;
}

/** Changed lines with some equal ones around them; neighbours that touch become one. */
function hunksOf(lines: readonly DiffLine[]): readonly (readonly [from: number, to: number])[] {
  const hunks: [number, number][] = [];
  lines.forEach(({ kind }, index) => {
    if (kind === "same") return;
    const [from, to] = [Math.max(0, index - CONTEXT_LINES), Math.min(lines.length, index + CONTEXT_LINES + 1)];
    const last = hunks.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else hunks.push([from, to]);
  });
  return hunks;
}

const SIGNS = { same: " ", removed: "-", added: "+" } as const;

function renderHunk(lines: readonly DiffLine[], from: number, to: number): string {
  const count = (part: readonly DiffLine[], absent: DiffLine["kind"]) =>
    part.filter(({ kind }) => kind !== absent).length;
  const [above, hunk] = [lines.slice(0, from), lines.slice(from, to)];
  const range = (absent: DiffLine["kind"]) => `${count(above, absent) + 1},${count(hunk, absent)}`;
  const head = `@@ -${range("added")} +${range("removed")} @@`;
  return `${[head, ...hunk.map(({ kind, text }) => SIGNS[kind] + text)].join("\n")}\n`;
}
