// Asks the integration routes for the same things, in the same order and form, as the first browser client did.
// ?api=… is where they are.

const api = new URLSearchParams(location.search).get("api");
const $ = (id) => document.getElementById(id);
let credentials = null;
let connected = null;

function post(provider, route, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", `${api}/integrations/${provider.toLowerCase()}/${route}`);
    call.setRequestHeader("Accept", "application/json, text/plain, */*");
    call.onload = () => (call.status < 300 ? resolve : reject)(read(call.responseText));
    call.onerror = () => reject(undefined);
    call.send(form);
  });
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const who = () => ({ user_id: $("user").value, org_id: $("org").value });

async function connect() {
  const provider = $("type").value;
  $("connect").disabled = true;
  $("status").textContent = "connecting";
  try {
    const url = await post(provider, "authorize", who());
    const popup = window.open(url, `${provider} Authorization`, "width=600, height=600");
    const timer = setInterval(() => {
      if (popup?.closed !== false) {
        clearInterval(timer);
        popupClosed(provider);
      }
    }, 200);
  } catch (error) {
    failed(error);
  }
}

async function popupClosed(provider) {
  try {
    credentials = await post(provider, "credentials", who());
    if (!credentials) return;
    connected = provider;
    $("status").textContent = `${provider} Connected`;
    $("data").hidden = false;
  } catch (error) {
    failed(error);
  } finally {
    $("connect").disabled = false;
  }
}

function failed(error) {
  $("connect").disabled = false;
  $("status").textContent = "not connected";
  alert(error?.detail);
}

async function load() {
  try {
    const fields = connected === "HubSpot" ? who() : { credentials: JSON.stringify(credentials) };
    $("loaded").value = JSON.stringify(await post(connected, "load", fields), null, 2);
  } catch (error) {
    alert(error?.detail);
  }
}

$("connect").addEventListener("click", connect);
$("load").addEventListener("click", load);
$("clear").addEventListener("click", () => ($("loaded").value = ""));
