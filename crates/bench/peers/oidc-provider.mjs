// npm's oidc-provider with a store in memory (a Map: its own keeps a thousand entries, too few here): rotating refresh tokens for one confidential client. Prints so many
// refresh tokens, one a line: node oidc-provider.mjs PORT CLIENT_ID CLIENT_SECRET COUNT
import Provider from 'oidc-provider';

const [port, clientId, clientSecret, count] = process.argv.slice(2);
const scope = 'openid profile email offline_access';
const stored = new Map();

class InMemory {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async upsert(id, payload) { stored.set(this.key(id), payload); }
  async find(id) { return stored.get(this.key(id)); }
  async findByUid(uid) { return [...stored.values()].find((payload) => payload.uid === uid); }
  async findByUserCode(userCode) { return [...stored.values()].find((payload) => payload.userCode === userCode); }
  async consume(id) { stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of stored) if (payload.grantId === grantId) stored.delete(key);
  }
}

const provider = new Provider(`http://localhost:${port}`, {
  adapter: InMemory,
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://localhost:9/callback'],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  features: {
    // Application tokens as JWTs for one audience, as ours are.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:notes',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'notes:read notes:write', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'EdDSA' } } }),
    },
  },
  jwks: await keys(),
  rotateRefreshToken: true,
  ttl: { AccessToken: 300, RefreshToken: 30 * 24 * 3600, Grant: 90 * 24 * 3600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

async function keys() {
  const { generateKeyPair, exportJWK } = await import('jose');
  const one = async (alg, options) => ({ ...(await exportJWK((await generateKeyPair(alg, { extractable: true, ...options })).privateKey)), alg, use: 'sig' });
  return { keys: [await one('RS256'), await one('EdDSA', { crv: 'Ed25519' })] };
}

const client = await provider.Client.find(clientId);
for (let i = 0; i < Number(count); i += 1) {
  const accountId = `user-${i}`;
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  grant.addResourceScope('urn:notes', 'notes:read notes:write');
  const grantId = await grant.save(90 * 24 * 3600);
  const token = new provider.RefreshToken({
    accountId, client, grantId, gty: 'authorization_code', scope: `${scope} notes:read notes:write`, resource: 'urn:notes',
    rotations: 0, iiat: Math.floor(Date.now() / 1000), expiresWithSession: false,
  });
  console.log(await token.save());
}
provider.listen(Number(port), '127.0.0.1');
