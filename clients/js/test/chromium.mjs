// Chromium, by the DevTools protocol through a pipe. With CI set, a missing Chromium is a failure.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

function chromium() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch {}
  }
  assert.ok(!process.env.CI, "there is no Chromium");
  return undefined;
}
/** The program's name, if there is one. */
export const program = chromium();

/** Starts a browser; answers how to send it a command: JSON with a NUL after it. */
export async function browser(t) {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
  const child = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
  const [, , , write, read] = child.stdio;
  t.after(async () => {
    const over = once(child, "exit");
    // All of its processes: any of them may write to the profile until it is gone.
    process.kill(-child.pid, "SIGKILL");
    await over;
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  const waiting = new Map();
  let [text, last] = ["", 0];
  read.setEncoding("utf8").on("data", (chunk) => {
    const messages = (text + chunk).split("\0");
    text = messages.pop();
    for (const { id, result, error } of messages.map((message) => JSON.parse(message))) {
      if (error) waiting.get(id)?.reject(new Error(error.message));
      else waiting.get(id)?.resolve(result);
    }
  });
  return (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      write.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
}

/** Opens a tab and waits until its title is there; answers how to run code in it. */
export async function tab(send, url) {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  await send("Page.enable", {}, sessionId);
  const run = async (expression) => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    return result.value;
  };
  await send("Page.navigate", { url }, sessionId);
  for (let tries = 100; tries && !(await run("document.title")); tries--) await new Promise((resume) => setTimeout(resume, 50));
  return run;
}
