export function transpileExamples(): string;
