// A build starts from nothing, so that no file of a former build is left over.
import { rmSync } from "node:fs";

rmSync(new URL("../dist", import.meta.url), { recursive: true, force: true });
