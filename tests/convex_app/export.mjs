// Says what Convex itself makes of schemas: bundles each as its command line does, and calls `export()`.
// node export.mjs SCHEMA.ts ... prints {"SCHEMA.ts": {...}, ...}; what cannot be exported is {"error": "why"}.
import * as esbuild from "esbuild";
import { pathToFileURL } from "node:url";

const said = {};
for (const [place, file] of process.argv.slice(2).entries()) {
  const outfile = `.exported/${place}.mjs`;
  try {
    await esbuild.build({ entryPoints: [file], outfile, bundle: true, platform: "node", format: "esm", logLevel: "silent",
      packages: "external" });
    said[file] = JSON.parse((await import(pathToFileURL(outfile))).default.export());
  } catch (error) {
    said[file] = { error: String(error) };
  }
}
console.log(JSON.stringify(said));
