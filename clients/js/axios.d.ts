import type { AxiosAdapter, AxiosStatic } from "axios";
import type { Client } from "./index.js";

/**
 * An adapter for Axios whose calls go through `client`. Relative URLs need a `baseURL`.
 *
 * @example axios.create({ adapter: axiosAdapter(client, axios) })
 */
export function axiosAdapter(client: Client, axios: AxiosStatic): AxiosAdapter;
