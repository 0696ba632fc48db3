import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { COMMANDS } from "../src/cli/command-table.ts";
import { parseStoreAddress } from "../src/journal/redis-store.ts";

/* The files of docs/guides/operate.md mean what the guide says, and name no option that zeph does not have. */

const ROOT = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

const SERVE_OPTIONS = new Map(
  Object.keys(COMMANDS.serve.options).map((written) => [/--[\w-]+/.exec(written)?.[0], written.includes("<")]),
);
const GLOBAL_OPTIONS = new Map([["--config", true]]);

/** Throws for what `zeph serve` does not take; gives the values by option. */
function serveOptions(args: readonly string[]): Readonly<Record<string, string>> {
  expect(args[0]).toBe("serve");
  const values: Record<string, string> = {};
  for (let at = 1; at < args.length; at += 1) {
    const name = args[at] ?? "";
    const takesValue = SERVE_OPTIONS.get(name) ?? GLOBAL_OPTIONS.get(name);
    expect([name, takesValue]).toEqual([name, expect.any(Boolean)]);
    if (takesValue === true) at += 1;
    values[name] = takesValue === true ? (args[at] ?? "") : "";
  }
  return values;
}

interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** A Dockerfile's instructions, by stage; continued lines are one. */
function stagesOf(text: string): readonly (readonly Instruction[])[] {
  const lines = text
    .replace(/^#.*\n/gm, "")
    .replace(/\\\n/g, " ")
    .split("\n");
  const stages: Instruction[][] = [];
  for (const line of lines) {
    const [, word, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    if (word === undefined || rest === undefined) {
      // The rest of a HEALTHCHECK stands on its continued line; anything else that is no instruction is a mistake.
      expect(line.trim()).toBe("");
      continue;
    }
    if (word === "FROM") stages.push([]);
    stages.at(-1)?.push({ word, rest });
  }
  return stages;
}

describe("the Dockerfile", () => {
  const stages = stagesOf(read("Dockerfile"));
  const last = stages.at(-1) ?? [];
  const of = (word: string) => last.filter((each) => each.word === word).map(({ rest }) => rest);

  it("does not run as root, says whether it lives, and brings no source along", () => {
    expect(of("USER")).toEqual(["node"]);
    expect(of("HEALTHCHECK")[0]).toContain("http://127.0.0.1:8424/health");
    expect(of("COPY")).toEqual([expect.stringMatching(/^--from=build \/opt\/zeph\/node_modules /)]);
    expect(of("STOPSIGNAL")).toEqual(["SIGTERM"]);
    // Changes to folders come before the user is changed, and nothing after it runs.
    const words = last.map(({ word }) => word);
    expect(words.lastIndexOf("RUN")).toBeLessThan(words.indexOf("USER"));
  });

  it("starts what the package ships, with options that there are", () => {
    const [entry = ""] = of("ENTRYPOINT");
    const bin = JSON.parse(read("package.json")).bin.zeph;
    expect(JSON.parse(entry)).toEqual(["node", `/opt/zeph/node_modules/zeph/${bin}`]);
    expect(serveOptions(JSON.parse(of("CMD")[0] ?? ""))).toMatchObject({ "--host": "0.0.0.0" });
    const check = /CMD (\[.*\])$/.exec(of("HEALTHCHECK")[0] ?? "")?.[1] ?? "";
    expect(JSON.parse(check)).toHaveLength(3);
  });

  it("takes no Node that zeph does not run on", () => {
    const major = Number(/^node:(\d+)-/.exec(of("FROM")[0] ?? "")?.[1]);
    expect(major).toBeGreaterThanOrEqual(Number(/\d+/.exec(JSON.parse(read("package.json")).engines.node)?.[0]));
  });
});

describe("the compose file", () => {
  const compose = parse(read("examples/operate/compose.yaml"), { merge: true });

  it("has two copies with one store, read-only, without capabilities and without a secret", () => {
    for (const name of ["zeph-1", "zeph-2"]) {
      const copy = compose.services[name];
      expect(copy).toMatchObject({ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
      const options = serveOptions(copy.command);
      expect(parseStoreAddress(options["--store"] ?? "").host).toBe("store");
      expect(["refuse", "pass"]).toContain(options["--store-lost"]);
      expect(read("examples/operate/nginx.conf")).toContain(`proxy_set_header Host ${options["--allow-host"]};`);
      for (const value of Object.values(copy.environment)) expect(value).toMatch(/^\$\{[A-Z_]+:\?\}$/);
      expect(read("examples/operate/nginx.conf")).toContain(`server ${name}:8424`);
    }
    expect(Object.keys(compose.services)).toEqual(["zeph-1", "zeph-2", "front", "store"]);
    for (const [file] of compose.services.front.volumes.map((volume: string) => volume.split(":"))) {
      expect(existsSync(join(ROOT, "examples/operate", file))).toBe(true);
    }
  });
});

describe("the Kubernetes manifest", () => {
  const documents = parseAllDocuments(read("examples/operate/kubernetes.yaml")).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
  const kinds = documents.map(({ kind, metadata }) => `${kind} ${metadata.name}`);

  it("has what belongs together, each once", () => {
    expect(kinds).toEqual([
      "Deployment zeph",
      "Service zeph",
      "PodDisruptionBudget zeph",
      "StatefulSet zeph-store",
      "Service zeph-store",
    ]);
    for (const { kind, apiVersion, spec, metadata } of documents) {
      expect(apiVersion).toEqual(expect.any(String));
      if (kind === "Deployment" || kind === "StatefulSet") {
        expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels);
        const pod = spec.template.spec;
        const mounted = [
          ...(pod.volumes ?? []),
          ...(spec.volumeClaimTemplates ?? []).map((claim: { metadata: object }) => claim.metadata),
        ];
        for (const { volumeMounts } of pod.containers) {
          for (const { name } of volumeMounts) expect(mounted.map((volume) => volume.name)).toContain(name);
        }
      }
      if (kind === "Service") expect(spec.selector).toEqual({ app: metadata.name });
    }
  });

  it("lets no container be root or write to its root file system", () => {
    for (const { kind, spec } of documents) {
      if (kind !== "Deployment" && kind !== "StatefulSet") continue;
      const pod = spec.template.spec;
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      for (const { securityContext } of pod.containers) {
        expect(securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
      }
    }
  });

  it("starts zeph with options that there are, and asks it by a name it answers to", () => {
    const [{ spec }] = documents;
    const [zeph] = spec.template.spec.containers;
    const options = serveOptions(zeph.args);
    expect(parseStoreAddress(options["--store"] ?? "").host).toBe("zeph-store");
    for (const probe of [zeph.livenessProbe, zeph.readinessProbe]) {
      expect(["/health", "/ready"]).toContain(probe.httpGet.path);
      expect(probe.httpGet.httpHeaders).toEqual([{ name: "Host", value: "localhost" }]);
    }
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(30);
  });
});
