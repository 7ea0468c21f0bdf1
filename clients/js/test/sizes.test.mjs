// What an app adds to its bundle.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const file = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** A file as an app bundles it, and the files that it is made of. */
async function bundle(name) {
  const { outputFiles, metafile } = await build({
    entryPoints: [file(name)],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    metafile: true,
  });
  return { size: gzipSync(outputFiles[0].contents, { level: 9 }).length, inputs: Object.keys(metafile.inputs) };
}

for (const [name, limit] of [["client.js", 5 * 1024], ["dpop.js", 2 * 1024], ["axios.js", 1024]]) {
  test(`${name} is one file, and less than ${limit} bytes after minification and gzip`, async (t) => {
    const { size, inputs } = await bundle(name);
    t.diagnostic(`${name}: ${size} bytes`);
    assert.ok(size > 200 && size < limit, `${size} bytes`);
    assert.equal(inputs.length, 1, "it imports nothing");
    const row = `| \`${name}\` | ${(size / 1024).toFixed(1)} KB |`;
    assert.ok(readFileSync(file("README.md"), "utf8").includes(row), `the manual says: ${row}`);
  });
}
