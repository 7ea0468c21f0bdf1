// The BFF against another vendor's provider: npm's oidc-provider stands in for the likes of Microsoft Entra. Signs in,
// calls an API with its token, refreshes, signs out here and there.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Provider } from "oidc-provider";
import { eventually, Person } from "./person.mjs";

const { BFF, BFF_PORT, PROVIDER_PORT } = process.env;
const issuer = `http://localhost:${PROVIDER_PORT}`;
const home = `http://localhost:${BFF_PORT}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: "shop", client_secret: "a secret of sixteen and more",
    redirect_uris: [`${home}/auth/callback`], post_logout_redirect_uris: [`${home}/`],
    grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
  }],
  features: { revocation: { enabled: true }, rpInitiatedLogout: { enabled: true }, devInteractions: { enabled: true } },
  ttl: { AccessToken: 4, RefreshToken: 600, IdToken: 60, Session: 600, Grant: 600, Interaction: 60, AuthorizationCode: 30 },
  rotateRefreshToken: true,
  // As Entra does it: no prompt is needed for offline_access.
  issueRefreshToken: async (context, client) => client.grantTypeAllowed("refresh_token"),
  cookies: { keys: ["one key"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  findAccount: async (context, sub) => ({ accountId: sub, claims: async () => ({ sub, email: `${sub}@example.com`, email_verified: true }) }),
});
let refreshes = 0;
const revoked = [];
provider.on("grant.success", (context) => (refreshes += context.oidc.params.grant_type === "refresh_token"));
provider.on("refresh_token.destroyed", (token) => revoked.push(token.jti));
const seen = [];
const api = createServer((request, response) => {
  seen.push(request.headers.authorization);
  response.setHeader("content-type", "application/json").end("[]");
});
const servers = [provider.listen(Number(PROVIDER_PORT), "127.0.0.1"), api.listen(0, "127.0.0.1")];
await new Promise((ready) => api.once("listening", ready));

const work = mkdtempSync(join(tmpdir(), "bff-"));
writeFileSync(join(work, "routes.toml"), `[[route]]\nprefix = "/api/orders"\nupstream = "http://127.0.0.1:${api.address().port}/orders"\n`);
const bff = spawn(BFF, [], {
  stdio: ["ignore", "inherit", "inherit"],
  env: {
    BFF_LISTEN: `127.0.0.1:${BFF_PORT}`, BFF_PUBLIC_URL: home, BFF_ISSUER: issuer, BFF_CLIENT_ID: "shop",
    BFF_CLIENT_SECRET: "a secret of sixteen and more", BFF_SCOPES: "openid email offline_access", BFF_SESSION_STORE: "memory:",
    BFF_DATA_DIR: work, BFF_ROUTES: join(work, "routes.toml"), BFF_LOG: "warn",
  },
});
try {
  await eventually(async () => assert.equal((await fetch(`${home}/readyz`)).status, 200));
  const person = new Person();
  const csrf = { "X-CSRF": "1" };
  // Sign in, agree, and be back.
  let page = await person.follow(`${home}/auth/login?prompt=login`);
  page = await person.submit(page, { login: "ann", password: "any" });
  page = await person.submit(page, {});
  assert.equal(page.at.href, `${home}/`);
  const me = await (await person.go(`${home}/auth/me`)).json();
  assert.deepEqual(me, { sub: "ann", email: "ann@example.com" });

  // Call the API, for longer than a token lives, with several calls at once: each token is refreshed once.
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(Array.from({ length: 10 }, () => person.go(`${home}/api/orders`, { headers: csrf })));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    await new Promise((resume) => setTimeout(resume, 4_200));
  }
  assert.equal(new Set(seen).size, 3);
  assert.equal(refreshes, 2);

  // Sign out: the refresh token is given back, and the provider ends its own sign-in when the browser goes there.
  const before = revoked.length;
  const { logout_url } = await (await person.go(`${home}/auth/logout`, { method: "POST", headers: csrf })).json();
  assert.equal(revoked.length, before + 1);
  assert.equal((await person.go(`${home}/auth/me`)).status, 401);
  const goodbye = await person.follow(logout_url);
  const done = await person.submit(goodbye, { logout: "yes" });
  assert.equal(done.at.href, `${home}/`);
  console.log("oidc-provider: the BFF signs in, refreshes once per token, and signs out");
} finally {
  bff.kill();
  servers.forEach((server) => server.close());
  rmSync(work, { recursive: true });
}
process.exit();
