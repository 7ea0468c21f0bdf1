// oidc-client-ts in a browser app without a backend.
import assert from "node:assert/strict";
import { andBack, open, signIn } from "../browser.mjs";

const { EMAIL } = process.env;

await open("oidc-client-ts.js", async (page) => {
  await page.evaluate(() => void app.signIn());
  await signIn(page);
  const tokens = [await page.evaluate(() => app.user())];
  assert.equal(tokens[0].profile.email, EMAIL);
  for (let round = 0; round < 2; round++) tokens.push(await page.evaluate(() => app.refresh()));
  assert.equal(new Set(tokens.map(({ refresh_token }) => refresh_token)).size, 3);
  assert.equal(new Set(tokens.map(({ access_token }) => access_token)).size, 3);

  await page.evaluate(() => app.revoke());
  await andBack(page, () => void app.signOut());
  assert.equal(await page.evaluate(() => app.user()), null);
  await page.evaluate(() => void app.signIn());
  await page.waitForSelector("input[name=password]");
});
