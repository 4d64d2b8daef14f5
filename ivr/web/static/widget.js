/* A chat and a form for any page: <script src="https://your.host/widget.js" data-key="ivr_pk_..." defer></script>

   data-key     a publishable key that belongs to the page's origin (on /widget: ?key=)
   data-open    "button" (default): a button that opens a panel; "page": fills the page
   data-source  what the business sees as the source of a form; the page's host by default

   It lives in a shadow root, loads nothing else and keeps two things: the visitor's session id and,
   while a person has the chat, since when. */
(() => {
  "use strict";
  const script = document.currentScript;
  const server = new URL(script.src).origin;
  const key = script.dataset.key || new URLSearchParams(location.search).get("key") || "";
  const source = script.dataset.source || location.hostname;
  const fillsPage = script.dataset.open === "page";
  const TRIES = 4;
  const FIRST_PAUSE_MS = 1000;
  const POLL_MS = 4000;
  const LONGEST_POLL_MS = 60000;

  const WORDS = {
    en: {
      open: "Chat with us", close: "Close", chat: "Chat", form: "Leave a message", say: "Your message", send: "Send",
      hello: "Hello! How can we help you?", again: "Try again", lost: "Not sent: no connection.", name: "Name",
      phone: "Phone", email: "E-mail", message: "How can we help you?", consent: "You may answer me by text message.",
      thanks: "Thank you. We have your message.", reach: "Please give a phone number or an e-mail address.",
      writing: "Writing an answer",
    },
    ar: {
      open: "تحدث معنا", close: "إغلاق", chat: "محادثة", form: "اترك رسالة", say: "رسالتك", send: "إرسال",
      hello: "مرحبا! كيف يمكننا مساعدتك؟", again: "حاول مرة أخرى", lost: "لم ترسل: لا يوجد اتصال.", name: "الاسم",
      phone: "الهاتف", email: "البريد الإلكتروني", message: "كيف يمكننا مساعدتك؟",
      consent: "يمكنكم الرد علي برسالة نصية.", thanks: "شكرا لك. وصلتنا رسالتك.",
      reach: "يرجى كتابة رقم هاتف أو بريد إلكتروني.", writing: "جار كتابة الرد",
    },
  };
  const language = (document.documentElement.lang || navigator.language || "en").slice(0, 2);
  const words = WORDS[navigator.language.startsWith("ar") ? "ar" : language] || WORDS.en;
  const isRtl = words === WORDS.ar;

  const STYLE = `
    :host { all: initial; --accent: #1456b8; font: 16px/1.45 system-ui, sans-serif; color: #16202c; }
    * { box-sizing: border-box; font: inherit; color: inherit; }
    [hidden] { display: none !important; }
    button { min-height: 44px; min-width: 44px; border: 0; border-radius: 8px; padding: 0 16px; cursor: pointer; }
    button.main { background: var(--accent); color: #fff; }
    button:disabled { opacity: .55; cursor: default; }
    :focus-visible { outline: 3px solid #f2a93b; outline-offset: 2px; }
    .open { position: fixed; inset-block-end: 20px; inset-inline-end: 20px; border-radius: 22px;
            box-shadow: 0 2px 10px #0004; z-index: 2147483000; }
    .panel { display: flex; flex-direction: column; background: #fff; overflow: hidden; }
    .button .panel { position: fixed; inset-block-end: 76px; inset-inline-end: 20px; width: min(380px, calc(100vw - 40px));
            height: min(560px, calc(100vh - 96px)); border-radius: 14px; box-shadow: 0 6px 30px #0005; z-index: 2147483000; }
    .page .panel { max-width: 640px; height: 100dvh; margin: 0 auto; }
    nav { display: flex; border-bottom: 1px solid #d5dbe3; }
    nav button { flex: 1 1 auto; padding: 0 8px; background: none; border-radius: 0; border-bottom: 3px solid transparent; }
    nav button[aria-selected=true] { border-color: var(--accent); font-weight: 600; }
    .talk { flex: 1; overflow-y: auto; padding: 16px; display: flex; flex-direction: column; gap: 10px; }
    .talk p { margin: 0; padding: 9px 13px; border-radius: 14px; max-width: 85%; white-space: pre-wrap; overflow-wrap: anywhere; }
    .talk .ours { align-self: flex-start; background: #edf1f6; }
    .talk .theirs { align-self: flex-end; background: var(--accent); color: #fff; }
    .talk .theirs.waiting { opacity: .65; }
    .talk .lost { align-self: flex-end; font-size: 14px; color: #a11; }
    .talk .lost button { background: none; text-decoration: underline; padding: 0 6px; }
    .dots::after { content: "…"; }
    form { display: flex; gap: 8px; padding: 12px; border-top: 1px solid #d5dbe3; }
    form.letter { flex-direction: column; flex: 1; overflow-y: auto; border: 0; padding: 16px; }
    label { display: block; font-size: 14px; }
    input, textarea { width: 100%; min-height: 44px; padding: 9px 12px; border: 1px solid #9aa6b5; border-radius: 8px;
            background: #fff; }
    textarea { resize: none; }
    .check { display: flex; gap: 10px; align-items: center; min-height: 44px; }
    .check input { width: 22px; min-height: 22px; }
    [role=alert] { color: #a11; font-size: 14px; margin: 0; }
    [aria-invalid=true] { border-color: #a11; }`;

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "boolean") element.toggleAttribute(name, value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  const uuid = () => {
    if (crypto.randomUUID) return crypto.randomUUID();  // only there on https and localhost
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
  };

  /* Where storage is forbidden the talk lasts as long as the page. */
  const kept = (name) => {
    try {
      return localStorage.getItem(name) || "";
    } catch {
      return "";
    }
  };
  const keep = (name, value) => {
    try {
      localStorage.setItem(name, value);
    } catch {}
  };

  const session = kept("ivr-session") || uuid();
  keep("ivr-session", session);

  class Refused extends Error {
    constructor(problem) {
      super(problem.detail || problem.title || "");
      this.fields = problem.errors || [];
    }
  }

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /* The same event_id on every try: what has arrived is not taken twice. */
  const post = async (path, body) => {
    for (let tried = 1; ; tried += 1) {
      let wait = FIRST_PAUSE_MS * 2 ** (tried - 1);
      try {
        const response = await fetch(server + path, {
          method: "POST",
          headers: { "Content-Type": "application/json", "X-API-Key": key },
          body: JSON.stringify(body),
        });
        if (response.ok) return await response.json();
        if (response.status < 500 && response.status !== 429) {
          throw new Refused(await response.json().catch(() => ({})));
        }
        wait = 1000 * Number(response.headers.get("Retry-After")) || wait;
      } catch (error) {
        if (error instanceof Refused) throw error;
      }
      if (tried === TRIES) throw new Error(words.lost);
      await pause(wait);
    }
  };

  /* The chat: one message at a time, in the order in which they were written. */
  const talk = make("div", { class: "talk", role: "log", "aria-live": "polite", tabindex: "0", "aria-label": words.chat });
  const show = (who, text) => {
    const line = make("p", { class: who, dir: "auto" }, text);
    talk.append(line);
    talk.scrollTop = talk.scrollHeight;
    return line;
  };

  let behind = Promise.resolve();
  const say = (text) => {
    const line = show("theirs waiting", text);
    const body = { session_id: session, message: text, event_id: uuid() };
    behind = behind.then(() => deliver(body, line));
  };

  const deliver = async (body, line) => {
    const dots = make("p", { class: "ours dots", "aria-label": words.writing });
    talk.append(dots);
    talk.scrollTop = talk.scrollHeight;
    try {
      const answer = await post("/webhooks/live-chat", body);
      line.classList.remove("waiting");
      dots.remove();
      if (answer.response) show("ours", answer.response);
      if (answer.with_person) attend(personSince || answer.timestamp);
    } catch (error) {
      dots.remove();
      offerAgain(body, line, error.message);
    }
  };

  const offerAgain = (body, line, why) => {
    const again = make("button", { type: "button" }, words.again);
    const note = make("div", { class: "lost", role: "status" }, why, again);
    again.addEventListener("click", () => {
      note.remove();
      behind = behind.then(() => deliver(body, line));
    });
    line.after(note);
  };

  /* What a person writes is asked for while a person has the chat and the visitor looks at it. The
     position keeps it from showing twice; the time leaves out what persons wrote in earlier talks. */
  let personSince = kept("ivr-person-since");
  let position = -1;
  let attending = false;

  const attend = async (since) => {
    personSince = since;
    keep("ivr-person-since", since);
    if (attending) return;
    attending = true;
    let wait = POLL_MS;
    while (personSince) {
      await pause(wait);
      if (panel.hidden || document.hidden) continue;
      wait = (await showNews().catch(() => false)) ? POLL_MS : Math.min(wait * 2, LONGEST_POLL_MS);
    }
    attending = false;
  };

  const showNews = async () => {
    const query = new URLSearchParams({ session_id: session, after: position });
    const response = await fetch(`${server}/webhooks/live-chat/messages?${query}`, {
      headers: { "X-API-Key": key },
      signal: AbortSignal.timeout(LONGEST_POLL_MS),
    });
    const isOver = [401, 403, 404].includes(response.status);  // nobody will ever answer
    if (!response.ok && !isOver) return false;
    const news = isOver ? { messages: [], with_person: false } : await response.json();
    for (const line of news.messages) {
      position = line.position;
      if (line.role === "staff" && Date.parse(line.timestamp) >= Date.parse(personSince)) show("ours", line.text);
    }
    if (!news.with_person && !news.messages.length) {
      personSince = "";
      keep("ivr-person-since", "");
    }
    return true;
  };

  const saying = make("textarea", { rows: "1", "aria-label": words.say, placeholder: words.say, dir: "auto", maxlength: "4000" });
  const chat = make("form", {}, saying, make("button", { class: "main" }, words.send));
  chat.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = saying.value.trim();
    if (!text) return;
    saying.value = "";
    say(text);
  });
  saying.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    chat.requestSubmit();
  });

  /* The form. */
  const field = (name, attributes) => {
    const tag = name === "message" ? "textarea" : "input";
    const input = make(tag, { name, id: name, dir: "auto", ...attributes });
    return make("div", {}, make("label", { for: name }, words[name]), input);
  };
  const problem = make("p", { role: "alert", hidden: true });
  const submit = make("button", { class: "main" }, words.send);
  const letter = make("form", { class: "letter", novalidate: true },
    field("name", { autocomplete: "name" }),
    field("phone", { type: "tel", autocomplete: "tel" }),
    field("email", { type: "email", autocomplete: "email" }),
    field("message", { rows: "3", maxlength: "4000" }),
    make("label", { class: "check" }, make("input", { type: "checkbox", name: "consent" }), words.consent),
    problem, submit);

  const complain = (text, fields = []) => {
    problem.textContent = text;
    problem.hidden = !text;
    for (const input of letter.elements) {
      input.toggleAttribute?.("aria-invalid", false);
      if (fields.includes(input.name)) input.setAttribute("aria-invalid", "true");
    }
  };

  let letterId = uuid();
  letter.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(letter));
    const body = { source, consent: given.consent === "on", event_id: letterId };
    for (const name of ["name", "phone", "email", "message"]) if (given[name].trim()) body[name] = given[name].trim();
    if (!body.phone && !body.email) return complain(words.reach, ["phone", "email"]);
    submit.disabled = true;
    complain("");
    try {
      const answer = await post("/webhooks/web-form", body);
      letter.replaceChildren(make("p", { role: "status", dir: "auto" }, answer.response || words.thanks));
    } catch (error) {
      complain(error.message, (error.fields || []).map((wrong) => wrong.field));
      if (error instanceof Refused) letterId = uuid();  // what was refused may be mended and sent anew
    }
    submit.disabled = false;
  });

  /* The panel. */
  const sides = { chat: [talk, chat], form: [letter] };
  const tabs = Object.keys(sides).map((name) => {
    const tab = make("button", { type: "button", role: "tab" }, words[name]);
    tab.addEventListener("click", () => choose(name));
    return [name, tab];
  });
  const choose = (chosen) => {
    for (const [name, tab] of tabs) {
      tab.setAttribute("aria-selected", String(name === chosen));
      for (const part of sides[name]) part.hidden = name !== chosen;
    }
  };
  const panel = make("section", { class: "panel", "aria-label": words.open, hidden: !fillsPage },
    make("nav", { role: "tablist" }, ...tabs.map(([, tab]) => tab)), talk, chat, letter);
  const opener = make("button", { class: "open main", type: "button", "aria-expanded": "false", hidden: fillsPage }, words.open);
  const toggle = () => {
    panel.hidden = !panel.hidden;
    opener.textContent = panel.hidden ? words.open : words.close;
    opener.setAttribute("aria-expanded", String(!panel.hidden));
    (panel.hidden ? opener : saying).focus();
  };
  opener.addEventListener("click", toggle);
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !fillsPage) toggle();
  });

  const host = make("div", { class: "ivr-widget" });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];  // not a <style>: a strict content security policy would refuse it
  root.append(make("div", { class: fillsPage ? "page" : "button", dir: isRtl ? "rtl" : "ltr" }, panel, opener));
  choose("chat");
  show("ours", words.hello);
  document.body.append(host);
  if (personSince) attend(personSince);
})();
