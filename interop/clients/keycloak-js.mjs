// keycloak-js in a browser app without a backend: sign-in and userinfo, without refresh tokens.
import assert from "node:assert/strict";
import { andBack, open, signIn } from "../browser.mjs";

const { EMAIL } = process.env;

await open("keycloak-js.js", async (page) => {
  assert.equal(await page.evaluate(() => app.signedIn), false);
  await page.evaluate(() => void app.signIn());
  await signIn(page);
  assert.equal(await page.evaluate(() => app.signedIn), true);
  assert.equal((await page.evaluate(() => app.claims())).email, EMAIL);
  assert.equal((await page.evaluate(() => app.userinfo())).email, EMAIL);

  await andBack(page, () => void app.signOut());
  assert.equal(await page.evaluate(() => app.signedIn), false);
  await page.evaluate(() => void app.signIn());
  await page.waitForSelector("input[name=password]");
});
