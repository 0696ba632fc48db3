import { readdirSync, readFileSync } from "node:fs";
const FOLDER = new URL("../shapes/", import.meta.url);
/** The recorded requests to one path, without its query. */
export function shapesOf(path) {
    const shapes = readdirSync(FOLDER)
        .filter((file) => file.endsWith(".json"))
        .map((file) => ({ name: file, ...JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) }))
        .filter((shape) => shape.path.split("?")[0] === path);
    if (shapes.length === 0)
        throw new Error(`no shape is recorded for ${path}`);
    return shapes;
}
