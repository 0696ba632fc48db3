// Words of a streamed answer.
export const WORDS = 50;
