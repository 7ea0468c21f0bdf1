// express-openid-connect.
import assert from "node:assert/strict";
import express from "express";
import openid from "express-openid-connect";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT, URL: home, EMAIL } = process.env;

// docs: the app
const app = express();
app.use(openid.auth({
  issuerBaseURL: ISSUER,
  baseURL: home,
  clientID: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  secret: crypto.randomUUID(), // of its own session cookie
  idpLogout: true,
  authorizationParams: { response_type: "code", scope: "openid profile email offline_access" },
}));
app.get("/", async (request, response) => response.json(await request.oidc.fetchUserInfo()));
app.get("/refresh", async (request, response) => {
  const { access_token } = await request.oidc.accessToken.refresh();
  response.json({ access_token, refresh_token: request.oidc.refreshToken });
});
// docs: end
const server = app.listen(PORT, "127.0.0.1");

const person = new Person();
const { page } = await person.signIn(home);
assert.equal(JSON.parse(page).email, EMAIL);
const tokens = [];
for (let round = 0; round < 2; round++) tokens.push(await (await person.go(`${home}/refresh`)).json());
assert.equal(new Set(tokens.map(({ refresh_token }) => refresh_token)).size, 2);

// Signing out ends both sessions, and opening the app again asks for the password.
assert.match((await person.follow(`${home}/logout`)).page, /name="password"/);
server.close();
server.closeAllConnections();
