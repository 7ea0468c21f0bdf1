// A browser app without a backend: bundled, served on its own origin, and used in Chromium.
import { build } from "esbuild";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const { ISSUER, CLIENT_ID, PORT, URL: home, EMAIL, PASSWORD } = process.env;
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/**
 * Opens the app in `source`, a script next to the calling one, and hands its page to `use`. The script finds
 * `settings.issuer`, `settings.clientId` and `settings.home`, and offers what it can do as `window.app`.
 */
export async function open(source, use) {
  const { outputFiles } = await build({
    entryPoints: [new URL(`clients/browser/${source}`, import.meta.url).pathname],
    bundle: true, write: false, format: "esm", jsx: "automatic", logLevel: "error",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const settings = JSON.stringify({ issuer: ISSUER, clientId: CLIENT_ID, home });
  const server = createServer((request, response) => {
    const isScript = request.url === "/app.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html; charset=utf-8");
    response.end(isScript
      ? outputFiles[0].text
      : `<!doctype html><title>app</title><div id="root"></div><script>settings = ${settings}</script><script type="module" src="/app.js"></script>`);
  }).listen(PORT, "127.0.0.1");
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    const said = [];
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(error.message));
    try {
      await page.goto(home);
      await page.waitForFunction(() => window.app);
      await use(page);
    } catch (error) {
      error.message += `\nat ${page.url()}, after\n${said.join("\n")}`;
      throw error;
    }
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}

/** The sign-in page, the question whether to go on to an app on loopback, and the way back to the app. */
export async function signIn(page) {
  await page.fill("input[name=email]", EMAIL);
  await page.fill("input[name=password]", PASSWORD);
  await page.click("form[action='/login'] button[type=submit]");
  await page.waitForURL((url) => url.pathname === "/continue" || url.href.startsWith(home));
  if (page.url().startsWith(ISSUER)) await page.click("#continue");
  await page.waitForURL((url) => url.href.startsWith(home));
  await page.waitForFunction(() => window.app);
}

/** Does something that leaves the app, and waits until the browser is there again. */
export async function andBack(page, leave) {
  await page.evaluate(() => { window.isLeaving = true; });
  await page.evaluate(leave);
  await page.waitForFunction(() => window.app && !window.isLeaving);
}
