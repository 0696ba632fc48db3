// npm sets the executable bit when it installs a package; a build used in place needs it too.
import { chmodSync } from "node:fs";

chmodSync(new URL("../dist/cli/main.js", import.meta.url), 0o755);
