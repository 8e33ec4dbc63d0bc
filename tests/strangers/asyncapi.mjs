// asyncapi.mjs DOCUMENT: what AsyncAPI's own parser finds in it, a line each; nothing when all is well.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { Parser } = require("@asyncapi/parser");

const SEVERITIES = ["error", "warning", "information", "hint"];
const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
for (const { code, severity, path, message } of diagnostics) {
  // 3.0 is what readers of AsyncAPI know; that 3.1 is out is no fault of the document.
  if (code !== "asyncapi-latest-version") console.log(`${SEVERITIES[severity]}: ${path.join("/")}: ${message}`);
}
if (document === undefined) {
  console.log("error: the document could not be read");
  process.exitCode = 1;
}
