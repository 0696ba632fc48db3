/**
 * Makes something at most once, for all who ask. A failure is not remembered: what was missing or out of reach may be there
 * when the next one asks.
 */
export function once<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => {
    made ??= make().catch((thrown: unknown) => {
      made = undefined;
      throw thrown;
    });
    return made;
  };
}
