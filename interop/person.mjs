// A person with a browser: keeps cookies, follows redirects, fills in forms.
export class Person {
  cookies = new Map();

  async go(url, options = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", ...options, headers: { cookie, ...options.headers } });
    for (const header of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(header);
      if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(header)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  /** Follows redirects until there is a page, or until `stop` says that this is far enough. */
  async follow(url, stop = () => false) {
    let at = new URL(url);
    for (let hops = 0; hops < 20; hops++) {
      if (stop(at)) return { at };
      const answer = await this.go(at);
      if (answer.status < 300 || answer.status > 399) return { at, answer, page: await answer.text() };
      at = new URL(answer.headers.get("location"), at);
    }
    throw new Error(`redirects without end at ${at}`);
  }

  /** Sends the form of a page with these fields added, and follows where that leads. */
  async submit({ at, page }, fields, stop) {
    const decoded = (text) => text.replaceAll("&#38;", "&").replaceAll("&amp;", "&");
    const body = new URLSearchParams(fields);
    for (const [input] of page.matchAll(/<input[^>]*>/g)) {
      const attribute = (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(input)?.[1];
      if (attribute("type") === "hidden" && attribute("name")) body.set(attribute("name"), decoded(attribute("value") ?? ""));
    }
    const action = /<form[^>]*\baction="([^"]*)"/.exec(page)[1];
    const answer = await this.go(new URL(decoded(action), at), { method: "POST", body });
    return this.follow(new URL(answer.headers.get("location"), at), stop);
  }

  /** Answers the page on which a user is asked what they allow: `continue` or `cancel`. */
  async answer({ at, page }, answer, stop) {
    return this.submit({ at, page: page.slice(page.indexOf('<form method="post" action="/continue">')) }, { answer }, stop);
  }

  /** Opens an address that leads to the authority's sign-in page, fills that in, and follows on from there. */
  async signIn(url, stop) {
    const { EMAIL: email, PASSWORD: password } = process.env;
    return this.submit(await this.follow(url), { email, password }, stop);
  }
}

/** Tries until it works. */
export async function eventually(work, seconds = 10) {
  for (let left = seconds * 10; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }
}
