// What pages can do better with a script. Every page works without it.
"use strict";
(() => {
  const page = document.documentElement;
  const data = page.dataset;
  const each = (selector, work) => document.querySelectorAll(selector).forEach(work);

  // Times in the zone of this browser, unless the user has chosen one, in which the server writes them.
  const full = new Intl.DateTimeFormat(page.lang, { dateStyle: "long", timeStyle: "short" });
  each("html:not([data-zone]) time[datetime]", (time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.valueOf())) return;
    time.title = full.format(at);
    if (time.dataset.form === "full") time.textContent = full.format(at);
  });
  // The choice of a zone begins with that of this browser.
  each("select[data-suggest=zone]", (select) => {
    const { timeZone } = full.resolvedOptions();
    if ([...select.options].some((option) => option.value === timeZone)) select.value = timeZone;
  });

  // The first field that is wrong, or the summary of what is.
  const wrong = document.querySelector("[aria-invalid=true]");
  if (wrong) wrong.focus();

  // Showing a password.
  each(".secret", (box) => {
    const input = box.querySelector("input");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = box.dataset.show;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `${box.dataset.show}: ${box.dataset.of}`);
    button.addEventListener("click", () => {
      const shown = input.type === "text";
      input.type = shown ? "password" : "text";
      button.textContent = shown ? box.dataset.show : box.dataset.hide;
      button.setAttribute("aria-pressed", String(!shown));
      input.focus();
    });
    input.form.addEventListener("submit", () => { input.type = "password"; });
    box.append(button);
  });

  // How good a new password is, as the server sees it. Nothing else is asked.
  each(".strength", (hint) => {
    const input = hint.parentElement.querySelector("input");
    const meter = Object.assign(document.createElement("meter"), { min: 0, max: 4, low: 2, high: 3, optimum: 4, hidden: true });
    meter.setAttribute("aria-hidden", "true");
    const words = document.createElement("span");
    hint.append(meter, words);
    let timer = 0;
    let asked = 0;
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        asked += 1;
        const mine = asked;
        meter.hidden = !input.value;
        if (!input.value) { words.textContent = ""; return; }
        try {
          const body = new URLSearchParams({ csrf: input.form.elements.csrf.value, password: input.value });
          const answer = await fetch("/password/strength", { method: "POST", body });
          if (!answer.ok || mine !== asked) return;
          const { score, text } = await answer.json();
          meter.value = score + 0.2;
          words.textContent = text;
        } catch { meter.hidden = true; }
      }, 300);
    });
  });

  // Nothing is sent twice by two clicks; going back makes the button work again.
  each("form", (form) => {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
    });
  });
  addEventListener("pageshow", () => each("form", (form) => { delete form.dataset.sent; }));

  // Questions before what cannot be undone.
  each("form[data-ask]", (form) => {
    let agreed = false;
    form.addEventListener("submit", (event) => {
      if (agreed) return;
      event.preventDefault();
      delete form.dataset.sent;
      const dialog = document.createElement("dialog");
      const text = document.createElement("p");
      text.textContent = form.dataset.ask;
      text.id = "question";
      dialog.setAttribute("aria-labelledby", "question");
      const row = document.createElement("div");
      row.className = "actions";
      const yes = document.createElement("button");
      yes.textContent = form.dataset.yes;
      yes.className = "danger";
      const no = document.createElement("button");
      no.textContent = form.dataset.no;
      no.className = "quiet";
      no.autofocus = true;
      yes.addEventListener("click", () => { agreed = true; dialog.close(); form.requestSubmit(); });
      no.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => dialog.remove());
      row.append(yes, no);
      dialog.append(text, row);
      document.body.append(dialog);
      dialog.showModal();
    });
  });

  // Copying, printing.
  each("[data-copy]", (button) => {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).innerText);
      button.textContent = button.dataset.done;
    });
  });

  // Passkeys (Web Authentication Level 3). The answer goes along in a form of ours.
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const descriptors = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));
  const creation = (options) => ({ ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) }, excludeCredentials: descriptors(options.excludeCredentials) });
  const request = (options) => ({ ...options, challenge: bytes(options.challenge), allowCredentials: descriptors(options.allowCredentials) });
  const answer = (made) => {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (made.response[name]) response[name] = text(made.response[name]);
    }
    if (made.response.getTransports) response.transports = made.response.getTransports();
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, extensions: made.getClientExtensionResults(), response });
  };
  each("form[data-passkey]", async (form) => {
    if (!window.PublicKeyCredential) return;
    const options = JSON.parse(form.dataset.passkey).publicKey;
    const make = form.dataset.make === "1";
    const said = form.querySelector("[role=status]");
    let waiting = null;
    const ask = async (conditional) => {
      if (waiting) waiting.abort();
      const mine = new AbortController();
      waiting = mine;
      try {
        const made = make
          ? await navigator.credentials.create({ publicKey: creation(options), signal: mine.signal })
          : await navigator.credentials.get({ publicKey: request(options), signal: mine.signal, ...(conditional ? { mediation: "conditional" } : {}) });
        if (!made) return;
        form.elements.credential.value = answer(made);
        form.requestSubmit();
      } catch (error) {
        if (error.name !== "AbortError" && !conditional && said) said.textContent = error.name === "InvalidStateError" ? form.dataset.known : form.dataset.failed;
      }
    };
    form.hidden = false;
    form.querySelector("button[type=button]").addEventListener("click", () => ask(false));
    if (form.dataset.autofill === "1" && PublicKeyCredential.isConditionalMediationAvailable && await PublicKeyCredential.isConditionalMediationAvailable()) ask(true);
  });
  each("[data-needs-passkeys]", (part) => { part.hidden = !window.PublicKeyCredential; });

  // Password managers forget the passkeys that were removed here (signal API).
  if (data.passkeys && window.PublicKeyCredential && PublicKeyCredential.signalAllAcceptedCredentials) {
    PublicKeyCredential.signalAllAcceptedCredentials(JSON.parse(data.passkeys)).catch(() => {});
  }
})();
