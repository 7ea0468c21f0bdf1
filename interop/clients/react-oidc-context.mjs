// react-oidc-context in a browser app without a backend.
import assert from "node:assert/strict";
import { open, signIn } from "../browser.mjs";

await open("react-oidc-context.jsx", async (page) => {
  await page.click("#in");
  await signIn(page);
  assert.equal(await page.textContent("#email"), process.env.EMAIL);
  const tokens = [await page.evaluate(() => app.user.refresh_token)];
  for (let round = 0; round < 2; round++) {
    tokens.push(await page.evaluate(async () => (await app.signinSilent()).refresh_token));
  }
  assert.equal(new Set(tokens).size, 3);
  await page.click("#out");
  await page.click("#in");
  await page.waitForSelector("input[name=password]");
});
