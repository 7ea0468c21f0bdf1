// What apps write has to type-check, and what they should not write must not.
import axios from "axios";
import { axiosAdapter } from "../axios.js";
import { createDpop, type Dpop } from "../dpop.js";
import { createClient, SignedOut, type Client, type Options, type Reason, type User } from "../index.js";

const client = createClient({ pattern: "tmb", apis: ["https://api.example/notes"] });
const user: User | null = await client.session();
const answer: Response = await client.fetch("https://api.example/notes", { method: "POST", body: "{}" });
const stop: () => void = client.onChange((change) => change === "signed_out" && client.signIn("/"));
await client.signOut({ everywhere: true });
axios.create({ adapter: axiosAdapter(client, axios) });
console.log(user?.name, answer.ok, stop, SignedOut);

const known: Options = { pattern: "bff", name: "shop", timeout: 1000, backend: "https://shop.example" };
const bff: Client = createClient(known);
bff.onChange((change, reason?: Reason) => console.log(change === "ended" && reason === "reuse"));

const dpop: Dpop = createDpop({ name: "shop" });
const bound: Client = createClient({ pattern: "spa", dpop, tokenEndpoint: "https://aa.example/oauth/token" });
const proof: string = await dpop.proof({ method: "GET", url: new URL("https://api.example/"), accessToken: await bound.token(), nonce: "n" });
const proved: Response = await dpop.fetch("https://api.example/", { method: "POST" }, { accessToken: "at", url: "https://aa.example/" });
const jkt: string = await dpop.thumbprint();
console.log(proof, proved, jkt);

// @ts-expect-error: there are three patterns
createClient({ pattern: "implicit" });
// @ts-expect-error: a token is a promise of one
const token: string = client.token();
// @ts-expect-error: proofs are made for an address
createClient({ pattern: "tmb", dpop });
// @ts-expect-error: a BFF hands no token to the page
createClient({ pattern: "bff", dpop, tokenEndpoint: "https://aa.example/oauth/token" });
// @ts-expect-error: a misspelt option
createClient({ pattern: "spa", api: [] });
// @ts-expect-error: a proof is for a method
await dpop.proof({ url: "https://api.example/" });
// @ts-expect-error: there are three changes
client.onChange((change) => change === "gone");
