// What a customer's program does, written on the types that openapi-typescript generated and on nothing of ours.
//
// walk.js URL PROVIDER USER: prints the link that a person has to open, waits until they have, waits for the sync, pages
// through the items, reads one, and prints what it saw. One JSON object a line.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
type Item = Schemas["SyncedItem"];

declare const process: { argv: string[] };

const PATIENCE_MS = 60_000;
const PAGE_SIZE = 7;
const [url, provider, user] = process.argv.slice(2) as [string, Schemas["StartConnect"]["provider"], string];
const client = createClient<paths>({ baseUrl: url });

/** Returns the answer's data; any error ends the program with its text. */
function answered<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function given<T>(value: T | null | undefined, name: string): T {
  if (value === null || value === undefined) throw new Error(`there is no ${name}`);
  return value;
}

async function until<T>(ask: () => Promise<T>, isOver: (found: T) => boolean): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask();
    if (isOver(found)) return found;
    if (Date.now() > end) throw new Error(`not in time: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function tell(seen: Record<string, unknown>): void {
  console.log(JSON.stringify(seen));
}

async function connect(): Promise<Schemas["ConnectionView"]> {
  const known = answered(await client.GET("/v1/providers"));
  if (!known.providers.some((one) => one.id === provider)) throw new Error(`${provider} cannot be connected here`);
  const body = { provider, org_id: "strangers", user_id: user };
  const flow = answered(await client.POST("/v1/connect", { body }));
  tell({ open: flow.authorize_url });
  const path = { flow_id: flow.flow_id };
  const status = await until(
    async () => answered(await client.GET("/v1/connect/{flow_id}", { params: { path } })),
    (found) => found.status !== "pending",
  );
  const connection_id = given(status.connection_id, "connection");
  return answered(await client.GET("/v1/connections/{connection_id}", { params: { path: { connection_id } } }));
}

async function pageThrough(connection_id: string): Promise<Item[]> {
  const seen: Item[] = [];
  let page_token: string | undefined;
  for (;;) {
    const query = { connection_id, page_size: PAGE_SIZE, page_token };
    const page = answered(await client.GET("/v1/items", { params: { query } }));
    seen.push(...page.items);
    if (page.next_page_token === null) return seen;
    page_token = page.next_page_token;
  }
}

const connection = await connect();
const sync_id = given(connection.sync_id, "sync");
const sync = await until(
  async () => answered(await client.GET("/v1/syncs/{sync_id}", { params: { path: { sync_id } } })),
  (found) => ["done", "incomplete", "failed"].includes(found.state),
);
const items = await pageThrough(connection.id);
const counts: Record<string, number> = {};
for (const item of items) counts[item.resource] = (counts[item.resource] ?? 0) + 1;
const last = given(items.at(-1), "item");
const path = { connection_id: connection.id, resource: last.resource, item_id: last.id };
const one = answered(
  await client.GET("/v1/items/{connection_id}/{resource}/{item_id}", { params: { path } }),
);
tell({
  state: sync.state,
  counts,
  distinct: new Set(items.map((item) => `${item.resource}/${item.id}`)).size,
  listed: { id: last.id, name: last.name },
  read: { id: one.id, name: one.name },
  raw: one.raw !== null && Object.keys(one.raw).length > 0,
});
