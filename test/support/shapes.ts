import { readdirSync, readFileSync } from "node:fs";

/** A request of a real client (`test/shapes`). */
export interface Shape {
  readonly name: string;
  readonly client: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

const FOLDER = new URL("../shapes/", import.meta.url);

/** The recorded requests to one path, without its query. */
export function shapesOf(path: string): readonly Shape[] {
  const shapes = readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file): Shape => ({ name: file, ...JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) }))
    .filter((shape) => shape.path.split("?")[0] === path);
  if (shapes.length === 0) throw new Error(`no shape is recorded for ${path}`);
  return shapes;
}
