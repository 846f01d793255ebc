// Bundles each lab with all that it imports: `make labs`. The bundle lies beside its source and is committed, so that
// learners need no build step. Its first line holds the hash of every source, by which a test sees whether it is stale.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const lessons = join(here, "..", "cl_course", "lessons");
const files = readdirSync(lessons, { recursive: true }).map((name) => join(lessons, name)).sort();
const sources = files.filter((name) => name.endsWith(".js") && !name.endsWith(".bundle.js"));

// The same in tests/lessons/test_lab_bundles.py: names and texts of all sources and of the list of packages.
const hash = createHash("sha256");
for (const file of [...sources, join(here, "package.json")]) {
  hash.update(`${relative(join(here, ".."), file).replaceAll("\\", "/")}\n${readFileSync(file, "utf8")}\n`);
}
const stamp = hash.digest("hex").slice(0, 16);

// `import code from "./worker.js?worker"` gives a worker with all that it imports as one text: a lab in a notebook is one
// file, so that it has no address from which a worker could be loaded.
const form = { bundle: true, minify: true, target: "es2020", nodePaths: [join(here, "node_modules")] };
const workers = {
  name: "workers",
  setup(building) {
    building.onResolve({ filter: /\?worker$/ }, ({ path, resolveDir }) => (
      { path: join(resolveDir, path.replace("?worker", "")), namespace: "worker" }));
    building.onLoad({ filter: /./, namespace: "worker" }, async ({ path }) => {
      const made = await build({ ...form, entryPoints: [path], format: "iife", write: false });
      return { contents: made.outputFiles[0].text, loader: "text" };
    });
  },
};

const entries = sources.filter((name) => readFileSync(name, "utf8").includes("export default widget("));
await build({
  entryPoints: entries,
  outdir: lessons,
  outbase: lessons,
  outExtension: { ".js": ".bundle.js" },
  ...form,
  format: "esm",
  plugins: [workers],
  banner: { js: `/* ${stamp} - made by labs/bundle.mjs; holds parts of d3 (ISC licence, Copyright Mike Bostock) */` },
  legalComments: "inline",
  logLevel: "info",
});
