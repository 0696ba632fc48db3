/** An answer other than success, with the row of the refusal table (shared reference 1.7) it belongs to. */
export interface Refusal {
  readonly row: number;
  readonly status: number;
  /** The text of `{"error": text}`. */
  readonly text: string;
}

export function refusal(row: number, status: number, text: string): Refusal {
  return { row, status, text };
}
