// angular-auth-oidc-client in a browser app without a backend.
import assert from "node:assert/strict";
import { andBack, open, signIn } from "../browser.mjs";

const { EMAIL } = process.env;

await open("angular-auth-oidc-client.js", async (page) => {
  assert.equal(await page.evaluate(() => app.isAuthenticated), false);
  await page.evaluate(() => void app.signIn());
  await signIn(page);
  assert.equal(await page.evaluate(() => app.isAuthenticated), true);
  assert.equal((await page.evaluate(() => app.userData)).email, EMAIL);
  const tokens = [await page.evaluate(() => app.refreshToken())];
  for (let round = 0; round < 2; round++) {
    assert.equal(await page.evaluate(() => app.refresh()), true);
    tokens.push(await page.evaluate(() => app.refreshToken()));
  }
  assert.equal(new Set(tokens).size, 3);

  // Revokes both tokens, and signs out at the authority.
  await andBack(page, () => void app.signOut());
  assert.equal(await page.evaluate(() => app.isAuthenticated), false);
  await page.evaluate(() => void app.signIn());
  await page.waitForSelector("input[name=password]");
});
