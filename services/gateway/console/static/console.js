// This script only makes the page quicker: every link and form works without it.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const REFRESH_MS = 300; // between two refreshes of the cards while a sync runs
const IDLE_MS = 15000; // between refreshes otherwise: another tab or program may have changed something
const SAY_MS = 5000; // the shortest time between two announcements of progress to a screen reader
const POLL_MS = 400;
const FLOW_MS = 600000; // how long a consent may take
const SIGN_IN = "/console/sign-in";

// ---- parts of the page -----------------------------------------------------------------------------------------

// The session is over: sign in again, then come back here.
function signIn() {
  location.assign(`${SIGN_IN}?next=${encodeURIComponent(location.pathname + location.search)}`);
  return new Promise(() => {}); // never resolves: the page is being left
}

async function load(url, options = {}) {
  const answer = await fetch(url, { headers: { accept: "text/html" }, ...options });
  if (answer.redirected && new URL(answer.url).pathname === SIGN_IN) await signIn();
  if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new Error(`${url} answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  localise(page);
  return page;
}

// Change only what differs, so that focus, selection and running transitions survive a refresh.
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(document.adoptNode(fresh));
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((node, at) => (before[at] ? morph(before[at], node) : old.append(document.adoptNode(node))));
    for (const extra of before.slice(after.length)) extra.remove();
  }
}

function swap(page, ...names) {
  for (const name of names) {
    const old = document.getElementById(name);
    const fresh = page.getElementById(name);
    if (old && fresh) morph(old, fresh);
  }
}

function localise(root) {
  for (const one of $$("time[data-show=clock]", root)) {
    const at = new Date(one.dateTime);
    one.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  }
  countDown(root);
}

function countDown(root = document) {
  for (const one of $$("[data-until]", root)) {
    const left = Math.ceil((new Date(one.dataset.until) - Date.now()) / 1000);
    const text = left > 0 ? ` (${left} s)` : "";
    if (one.textContent !== text) one.textContent = text;
  }
}

// ---- announcements and notices -----------------------------------------------------------------------------------------

let said = 0;
function announce(text, urgent = false) {
  if (!urgent && Date.now() - said < SAY_MS) return;
  said = Date.now();
  $("#announce").textContent = text;
}

function notify(kind, title, detail, again) {
  const note = $("#said").content.cloneNode(true).firstElementChild;
  note.classList.add(kind);
  $("strong", note).textContent = title;
  $("span", note).textContent = detail;
  const button = $("button.main", note);
  if (again) button.addEventListener("click", again);
  else button.remove();
  $("#notice")?.replaceChildren(note);
}

const trouble = () => notify("bad", "The console cannot reach its server.", "Check that it is still running. This page will catch up by itself once it is back.");

// ---- cards, followed live --------------------------------------------------------------------------------------

let busy = false;
let wanted = false;
let lost = false;
async function refresh() {
  if (busy) {
    wanted = true;
    return;
  }
  busy = true;
  do {
    wanted = false;
    const began = performance.now();
    try {
      const was = $("#cards").dataset.live;
      swap(await load("/console/cards"), "cards");
      if (lost) $("#notice").replaceChildren();
      lost = false;
      if (was && !$("#cards").dataset.live) finished();
      else if (was) refreshItems();
    } catch {
      if (!lost) trouble();
      lost = true;
    }
    follow();
    await sleep(Math.max(REFRESH_MS, 3 * (performance.now() - began))); // a large table must not keep the server busy
  } while (wanted);
  busy = false;
}

function finished() {
  const ends = $$(".account").map((one) => `${one.dataset.account}: ${$(".figure strong", one).textContent} items`);
  announce(`Sync finished. ${ends.join(". ")}`, true);
  listed = 0; // show the last rows, however busy the server was
  refreshItems(0);
}

function tell() {
  const lines = $$("[data-stream] .bar").map((bar) => `${$(".what", bar).textContent} ${$(".count", bar).textContent || "queued"}`);
  if (lines.length) announce(lines.join(", "));
}

// Follow one stream at most: a browser opens six connections to a host, all tabs together. An event means that
// something changed, and the cards of all accounts are fetched again.
let stream = null;
function follow() {
  const sync = $("[data-stream]")?.dataset.stream;
  if (stream && (stream.sync !== sync || document.hidden)) {
    stream.source.close();
    stream = null;
  }
  if (!sync || stream || document.hidden) return;
  const source = new EventSource(`/v1/syncs/${encodeURIComponent(sync)}/events`);
  stream = { sync, source };
  source.addEventListener("progress", () => {
    refresh();
    tell();
  });
  source.addEventListener("done", () => {
    source.close();
    refresh();
  });
}

// ---- the items table -------------------------------------------------------------------------------------------

let latest = 0;
let listed = 0;
async function showItems(query, { remember = true } = {}) {
  const turn = ++latest;
  // Before the answer comes: a refresh that begins meanwhile must ask for the same page.
  if (remember) history.replaceState(null, "", `/${query === "?" ? "" : query}`);
  try {
    const page = await load(`/console/items${query}`);
    if (turn !== latest) return;
    swap(page, "items");
    const now = new URLSearchParams(query);
    for (const name of ["provider", "resource"]) $(`.find [name=${name}]`).value = now.get(name) ?? "";
    announce($("#items caption")?.textContent ?? $("#items h3")?.textContent ?? "", remember);
  } catch {
    trouble();
  }
}

// New rows arrive while a sync runs. They do not disturb a reader on a later page or in the drawer.
function refreshItems(rest = 1000) {
  const now = new URLSearchParams(location.search);
  if (now.has("after") || Date.now() < listed + rest) return;
  const began = Date.now();
  listed = began;
  showItems(location.search || "?", { remember: false }).then(() => (listed += 8 * (Date.now() - began)));
}

function hideItems() {
  const now = new URLSearchParams(location.search);
  for (const name of ["after", "trail", "page"]) now.delete(name);
  now.set("view", "hidden");
  showItems(`?${now}`);
}

let typing = 0;
function search() {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const fields = [...new FormData($(".find"))].filter(([, value]) => value.trim());
    showItems(`?${new URLSearchParams(fields)}`);
  }, 150);
}

// ---- the drawer ------------------------------------------------------------------------------------------------

const drawer = $("#drawer");
let opener = null;
async function openDialog(link) {
  try {
    const content = (await load(link.href)).getElementById("content");
    if (!content) {
      location.assign(link.href);
      return;
    }
    const shut = document.createElement("button");
    shut.className = "shut quiet";
    shut.type = "button";
    shut.textContent = "×";
    shut.setAttribute("aria-label", "Close");
    shut.dataset.close = "";
    drawer.replaceChildren(shut, document.adoptNode(content));
    drawer.dataset.look = content.dataset.look;
    drawer.setAttribute("aria-labelledby", content.getAttribute("aria-labelledby"));
    opener = link.id || link.getAttribute("href");
    drawer.showModal();
    drawer.scrollTop = 0;
  } catch {
    location.assign(link.href);
  }
}
drawer?.addEventListener("close", () => {
  drawer.replaceChildren();
  $$("a[data-dialog]").find((link) => link.getAttribute("href") === opener)?.focus();
});

// ---- connecting ------------------------------------------------------------------------------------------------

const NEXT = {
  window_closed: "The window was closed before the account was connected. If you did allow access, the card will say Connected.",
  expired: "The window was open for too long, so its link has expired.",
  unreachable: "The console cannot reach its server. Check that it is still running, then try again.",
};

// Its message is a sentence for a person; that of any other error is a script's.
class Refused extends Error {}

async function connect(provider, user = document.body.dataset.user) {
  const again = () => connect(provider, user);
  const name = $(`#name-${provider}`)?.firstChild.textContent.trim() ?? provider;
  // Open the window in the click itself: after waiting for an answer, a browser would block it.
  const popup = window.open("", "_blank", "popup,width=560,height=720");
  try {
    const flow = await begin(provider, user, popup);
    if (!popup) {
      location.assign(flow.authorize_url); // the browser blocks popups: continue in this tab
      return;
    }
    popup.location.replace(flow.authorize_url);
    announce(`A ${name} window has opened.`, true);
    const end = await ended(flow.flow_id, popup, () => notify("mild", `${name} is not connected yet.`, NEXT.window_closed, again));
    if (end.status === "connected") {
      if (!popup.closed) popup.close();
      $("#notice").replaceChildren();
      announce(`${name} is connected. Syncing.`, true);
      await refresh();
      if (document.activeElement === document.body) $(`#name-${provider}`)?.focus();
    } else notify("bad", `${name} was not connected.`, end.error?.detail ?? NEXT.expired, again);
  } catch (error) {
    popup?.close();
    notify("bad", `${name} was not connected.`, error instanceof Refused ? error.message : NEXT.unreachable, again);
  }
  refresh();
}

async function begin(provider, user, popup) {
  const { org, csrf } = document.body.dataset;
  const answer = await fetch("/v1/connect", {
    method: "POST",
    headers: { "content-type": "application/json", ...(csrf && { "x-csrf-token": csrf }) },
    body: JSON.stringify({ provider, org_id: org, user_id: user, ...(!popup && { return_url: "/" }) }),
  });
  if (answer.status === 401) {
    popup?.close();
    await signIn();
  }
  const body = await answer.json();
  if (!answer.ok) throw new Refused(body.detail ?? NEXT.unreachable);
  return body;
}

// A provider's page may cut the popup off from this window (COOP), which looks as if the popup had been closed. So tell
// the person, and keep polling the flow. Only the server says how it went: messages from other windows are ignored.
async function ended(id, popup, onClosed) {
  const until = Date.now() + FLOW_MS;
  let told = false;
  while (Date.now() < until) {
    const gone = popup.closed;
    const flow = await flowNow(id);
    if (flow.status !== "pending") return flow;
    if (gone && !told) onClosed();
    told ||= gone;
    await sleep(told ? POLL_MS * 5 : POLL_MS);
  }
  return { status: "failed" };
}

// An answer that fails to come, or is not ours, says nothing of the consent: ask again.
async function flowNow(id) {
  const pending = { status: "pending" };
  try {
    const answer = await fetch(`/v1/connect/${encodeURIComponent(id)}`);
    if (answer.status === 401) await signIn();
    if (answer.status === 404 || answer.status === 410) return { status: "failed" };
    const flow = answer.ok ? await answer.json() : null;
    return flow?.status ? flow : pending;
  } catch {
    return pending;
  }
}

// ---- everything that can be clicked ----------------------------------------------------------------------------

async function send(form, button) {
  button.disabled = true;
  if (drawer.open) drawer.close();
  const body = new URLSearchParams(new FormData(form, button));
  try {
    swap(await load(form.action, { method: "POST", body }), "notice", "cards");
    showItems(location.search || "?", { remember: false });
    follow();
  } catch {
    trouble();
  }
  button.disabled = false;
}

function chooseTheme(button) {
  document.cookie = `theme=${button.value}; path=/; max-age=31536000; samesite=lax`;
  if (button.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = button.value;
  for (const one of $$(".theme button")) one.setAttribute("aria-pressed", String(one === button));
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if (form.matches(".theme")) chooseTheme(button);
  else if (form.matches(".find")) search();
  else if (form.dataset.connect !== undefined) connect(form.dataset.connect, form.dataset.user);
  else if (form.dataset.swap !== undefined && drawer) send(form, button);
  else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || !drawer) return;
  const link = event.target.closest("a, button") ?? event.target.closest("tbody tr")?.querySelector("th a");
  if (event.target === drawer) drawer.close();
  if (!link) return;
  const { query, dialog, close, hide, dismiss } = link.dataset;
  if (query !== undefined) showItems(query);
  else if (hide !== undefined) hideItems();
  else if (dialog !== undefined) openDialog(link);
  else if (close !== undefined && drawer.open) drawer.close();
  else if (dismiss !== undefined) $("#notice").replaceChildren();
  else return;
  event.preventDefault();
});

if (drawer) {
  $("#q").addEventListener("input", search);
  document.addEventListener("visibilitychange", () => (document.hidden ? follow() : refresh()));
  setInterval(countDown, 1000);
  setInterval(() => !document.hidden && refresh(), IDLE_MS);
  // The stream follows one account. Poll for the others, and for all of them while there is no stream.
  const followed = () => (stream?.source.readyState === EventSource.OPEN ? 1 : 0);
  setInterval(() => !document.hidden && $$("[data-stream]").length > followed() && refresh(), 1000);
  localise(document);
  follow();
  if (new URLSearchParams(location.search).has("flow_id")) history.replaceState(null, "", "/");
}
