// The package as npm packs and installs it, in a folder of its own.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

export const source = fileURLToPath(new URL("..", import.meta.url));

/** Packs and installs it; links what else apps need. Answers the folder and the packed files. */
export function install(...others) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "client-")));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const npm = (cwd, ...args) => execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const packed = JSON.parse(npm(source, "pack", "--json", "--pack-destination", folder));
  const { filename, files } = Array.isArray(packed) ? packed[0] : Object.values(packed)[0];
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  npm(folder, "install", "--silent", "--offline", "--no-audit", "--no-fund", "--no-package-lock", `./${filename}`);
  for (const name of others) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(source, "node_modules", name), link);
  }
  return { folder, files: files.map(({ path }) => path), example: (name) => copied(folder, name) };
}

function copied(folder, name) {
  const to = join(folder, name);
  cpSync(join(source, "examples", name), to, { recursive: true, filter: (path) => !/node_modules|dist/.test(path.slice(source.length)) });
  return to;
}
