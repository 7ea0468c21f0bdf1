// What npm publishes: its files, its types, and what of it apps bundle.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { build } from "esbuild";
import { install, source } from "./packed.mjs";

/** The number of files of the examples. */
const EXAMPLES = 14;
const { folder, files } = install("axios");
const manifest = JSON.parse(readFileSync(join(folder, "node_modules/@authority/client/package.json"), "utf8"));

test("it has all that it exports, its licence and its manual, and nothing else", () => {
  const exported = Object.values(manifest.exports).flatMap((entry) => Object.values(typeof entry === "string" ? [entry] : entry));
  const expected = new Set(["LICENSE", "README.md", ...exported.map((path) => path.slice(2))]);
  const examples = files.filter((path) => path.startsWith("examples/"));
  assert.deepEqual(files.filter((path) => !examples.includes(path)).sort(), [...expected].sort());
  assert.equal(examples.length, EXAMPLES, "the examples, and nothing that was built from them");
  assert.equal(manifest.private, undefined);
  assert.equal(manifest.sideEffects, false);
  assert.equal(manifest.dependencies, undefined, "it depends on nothing");
});

/** What an app with this code bundles: the code, and how many bytes of each file of the package there are. */
async function bundle(contents) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: folder },
    bundle: true,
    format: "esm",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  const [{ inputs }] = Object.values(metafile.outputs);
  const sizes = {};
  for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
    assert.ok(!path.includes(source), "from the package, not from its source");
    const [, file] = path.split("node_modules/@authority/client/");
    if (file && bytesInOutput) sizes[file] = bytesInOutput;
  }
  return { text: outputFiles[0].text, sizes };
}

test("an app that needs only the client bundles only the client", async () => {
  const { text, sizes } = await bundle('import { createClient } from "@authority/client"; createClient({ pattern: "bff" });');
  assert.deepEqual(Object.keys(sizes), ["client.js"]);
  assert.doesNotMatch(text, /dpop\+jwt|indexedDB/);
  // Also when a module of the app exports everything.
  writeFileSync(join(folder, "all.js"), ["", "/dpop", "/axios"].map((path) => `export * from "@authority/client${path}";\n`).join(""));
  const one = await bundle('import { createClient } from "./all.js"; createClient({ pattern: "bff" });');
  assert.deepEqual(Object.keys(one.sizes), ["client.js"]);
  const all = await bundle('export * from "./all.js";');
  assert.deepEqual(Object.keys(all.sizes).sort(), ["axios.js", "client.js", "dpop.js"]);
  assert.match(all.text, /dpop\+jwt/);
});

test("what is not used is left out", async () => {
  const none = await bundle('import "@authority/client"; import "@authority/client/dpop";');
  assert.deepEqual(none.sizes, {});
  const { text, sizes } = await bundle('import { SignedOut } from "@authority/client"; console.log(SignedOut);');
  assert.ok(sizes["client.js"] < 200, `${sizes["client.js"]} bytes`);
  assert.doesNotMatch(text, /BroadcastChannel/);
});

for (const [module, resolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
  test(`its types are found and exact with moduleResolution ${resolution}`, () => {
    const app = readFileSync(join(source, "test/types.ts"), "utf8")
      .replace('"../index.js"', '"@authority/client"')
      .replace('"../dpop.js"', '"@authority/client/dpop"')
      .replace('"../axios.js"', '"@authority/client/axios"');
    assert.doesNotMatch(app, /"\.\.\//);
    writeFileSync(join(folder, "app.ts"), app);
    const compilerOptions = { strict: true, noEmit: true, target: "es2022", module, moduleResolution: resolution, lib: ["es2022", "dom"], types: [] };
    const config = { compilerOptions, files: ["app.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const check = () => execFileSync(join(source, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
    try {
      check();
    } catch (error) {
      assert.fail(error.stdout);
    }
    // The same with one mistake is refused.
    writeFileSync(join(folder, "app.ts"), `${app}\ncreateClient({ pattern: 1 });\n`);
    assert.throws(check, ({ stdout }) => stdout.includes("TS2322"));
  });
}
