// Makes dist/ from src/: npm ci && node build.mjs. Users need neither: dist/ is committed.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
mkdirSync(dist, { recursive: true });

// the store's arrays are not compressed: the codecs that would be, in WebAssembly, stay out
const without = {
  name: "without-compression",
  setup(build) {
    build.onResolve({ filter: /^numcodecs\// }, (found) => ({ path: found.path, namespace: "none" }));
    build.onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "export default null;" }));
  },
};

const made = await build({
  entryPoints: [join(here, "src/main.js")],
  outfile: join(dist, "explorer.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  plugins: [without],
  absWorkingDir: here,
});
copyFileSync(join(here, "src/index.html"), join(dist, "index.html"));
copyFileSync(join(here, "src/style.css"), join(dist, "explorer.css"));

// the licence of every package of which a byte is in the bundle
const inside = Object.entries(Object.values(made.metafile.outputs)[0].inputs).filter(([, part]) => part.bytesInOutput);
const packages = new Set(inside.map(([file]) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]).filter(Boolean));
const parts = [`Waypoint's explorer: MIT, as Waypoint itself. It contains:\n`];
for (const name of [...packages].sort()) {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  const text = readFileSync(join(folder, file), "utf8");
  parts.push(`---- ${name} ${version} (${license})\n\n${text.trim()}\n`);
}
writeFileSync(join(dist, "LICENSES.txt"), parts.join("\n"));

// by which a test sees that dist/ was made from these sources
const sources = ["build.mjs", "package-lock.json", ...readdirSync(join(here, "src"), { recursive: true }).map((name) => `src/${name}`)];
const hash = createHash("sha256");
for (const name of sources.filter((each) => /\.(js|mjs|json|css|html)$/.test(each)).sort()) {
  hash.update(`${name}\n`).update(readFileSync(join(here, name)));
}
writeFileSync(join(dist, "sources.sha256"), `${hash.digest("hex")}\n`);
