// What apps write has to type-check, and what they should not write must not.
import axios from "axios";
import { axiosAdapter } from "../axios.js";
import { createClient, SignedOut, type User } from "../index.js";

const client = createClient({ pattern: "tmb", apis: ["https://api.example/notes"] });
const user: User | null = await client.session();
const answer: Response = await client.fetch("https://api.example/notes", { method: "POST", body: "{}" });
const stop: () => void = client.onChange((change) => change === "signed_out" && client.signIn("/"));
await client.signOut({ everywhere: true });
axios.create({ adapter: axiosAdapter(client, axios) });
console.log(user?.name, answer.ok, stop, SignedOut);

// @ts-expect-error: there are three patterns
createClient({ pattern: "implicit" });
// @ts-expect-error: a token is a promise of one
const token: string = client.token();
