import { settings } from "./settings.mjs";

export async function versionCommand(_, flags) {
  if (flags.long !== true) {
    process.stdout.write(`${settings.version}\n`);
    return;
  }
  const long = {
    name: "inference",
    server_name: "inferenced",
    version: settings.version,
    commit: "8a35022b",
    build_tags: "",
    go: "go version go1.24.2 linux/amd64",
    cosmos_sdk_version: "v0.53.3-ps17",
  };
  const lines = Object.entries(long).map(([name, value]) => `${name}: ${value === "" ? '""' : value}\n`);
  process.stdout.write(flags.output === "json" ? `${JSON.stringify(long)}\n` : lines.join(""));
}
