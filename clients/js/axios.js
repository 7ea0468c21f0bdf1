// An adapter for Axios, so that its calls go through a client: `axios.create({ adapter: axiosAdapter(client, axios) })`.

export function axiosAdapter(client, axios) {
  const { AxiosError } = axios;
  return async (config) => {
    const signals = [config.signal, config.timeout && AbortSignal.timeout(config.timeout)].filter(Boolean);
    const method = (config.method ?? "get").toUpperCase();
    const request = {
      method,
      headers: config.headers.toJSON(),
      body: ["GET", "HEAD"].includes(method) ? undefined : config.data,
      signal: signals.length ? AbortSignal.any(signals) : undefined,
    };
    let answer;
    try {
      answer = await client.fetch(axios.getUri(config), request);
    } catch (error) {
      if (error.name === "SignedOut") throw error;
      if (config.signal?.aborted) throw new axios.CanceledError(undefined, config, request);
      const code = error.name === "TimeoutError" ? AxiosError.ECONNABORTED : AxiosError.ERR_NETWORK;
      throw new AxiosError(error.message, code, config, request);
    }
    const read = { blob: "blob", arraybuffer: "arrayBuffer", formdata: "formData" }[config.responseType] ?? "text";
    const response = {
      data: config.responseType === "stream" ? answer.body : await answer[read](),
      status: answer.status,
      statusText: answer.statusText,
      headers: new axios.AxiosHeaders(Object.fromEntries(answer.headers)),
      config,
      request,
    };
    if (!config.validateStatus || config.validateStatus(response.status)) return response;
    const code = answer.status < 500 ? AxiosError.ERR_BAD_REQUEST : AxiosError.ERR_BAD_RESPONSE;
    throw new AxiosError(`Request failed with status code ${answer.status}`, code, config, request, response);
  };
}
