// Builds the page from /v1/openapi.json. Text from the document only ever becomes text nodes.
"use strict";

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) node[name] = value;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

let api;

function resolved(schema) {
  if (!schema?.$ref) return schema ?? {};
  return schema.$ref.split("/").slice(1).reduce((at, key) => at[key], api);
}

function typeName(schema) {
  if (schema?.$ref) return schema.$ref.split("/").at(-1).split("_").at(-1);
  const whole = resolved(schema);
  const options = whole.oneOf ?? whole.anyOf;
  if (options) return options.map(typeName).join(" | ");
  if (whole.enum) return whole.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (whole.type === "array") return `${typeName(whole.items)}[]`;
  return Array.isArray(whole.type) ? whole.type.join(" | ") : (whole.type ?? "any");
}

function sample(schema, depth = 0) {
  const whole = resolved(schema);
  const options = whole.oneOf ?? whole.anyOf;
  if (whole.examples?.length) return whole.examples[0]?.value ?? whole.examples[0];
  if (options) return sample(options.find((one) => one.type !== "null"), depth);
  if (whole.enum) return whole.enum[0];
  if (depth > 4) return null;
  if (whole.type === "array") return [sample(whole.items, depth + 1)];
  if (whole.properties) {
    return Object.fromEntries(
      Object.entries(whole.properties).map(([name, one]) => [name, sample(one, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false, object: {} }[whole.type] ?? null;
}

function fieldTable(schema) {
  const whole = resolved(schema);
  const shown = whole.type === "array" ? resolved(whole.items) : whole;
  if (!shown.properties) return make("p", { className: "muted" }, typeName(schema));
  const rows = Object.entries(shown.properties).map(([name, one]) =>
    make("tr", {},
      make("td", {}, make("code", {}, name + (shown.required?.includes(name) ? "" : "?"))),
      make("td", {}, make("code", {}, typeName(one))),
      make("td", {}, resolved(one).description ?? "")));
  return make("div", {}, make("p", { className: "muted" }, shown.description ?? ""),
    make("table", {}, make("tbody", {}, ...rows)));
}

function parameterTable(parameters, inputs) {
  if (!parameters.length) return null;
  const rows = parameters.map((one) => {
    const input = make("input", { placeholder: one.schema?.default ?? "" });
    input.setAttribute("aria-label", one.name);
    inputs.push([one, input]);
    return make("tr", {},
      make("td", {}, make("code", {}, one.name + (one.required ? "" : "?"))),
      make("td", {}, one.in), make("td", {}, make("code", {}, typeName(one.schema))),
      make("td", {}, one.description ?? ""), make("td", {}, input));
  });
  return make("table", {}, make("tbody", {}, ...rows));
}

async function send(method, path, inputs, body, kind, output) {
  let url = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  if (body) headers["Content-Type"] = kind;
  if (query.size) url += `?${query}`;
  output.textContent = "…";
  try {
    const started = performance.now();
    const answer = await fetch(url, { method, headers, body: body ? body.value : undefined });
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is not JSON */ }
    const took = Math.round(performance.now() - started);
    const tag = answer.headers.get("etag");
    output.textContent = `${method} ${url}\n${answer.status} ${answer.statusText}, ${took} ms`
      + (tag ? `, ETag ${tag}` : "") + `\n\n${shown.slice(0, 100000)}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function routeBody(method, path, operation) {
  const inputs = [];
  const parameters = operation.parameters ?? [];
  const content = operation.requestBody?.content ?? {};
  const [kind, media] = Object.entries(content)[0] ?? [];
  let body = null;
  if (kind) {
    const example = Object.values(media.examples ?? {})[0]?.value ?? sample(media.schema);
    const text = typeof example === "string" ? example : JSON.stringify(example, null, 2);
    body = make("textarea", { value: text, spellcheck: false });
    body.setAttribute("aria-label", "body");
  }
  const output = make("pre", { hidden: true });
  const go = make("button", { type: "button" }, "Send / 发送");
  go.addEventListener("click", () => {
    output.hidden = false;
    send(method, path, inputs, body, kind, output);
  });
  const live = Object.values(operation.responses ?? {})
    .some((one) => "text/event-stream" in (one.content ?? {}));
  const answers = Object.entries(operation.responses ?? {}).map(([status, one]) => {
    const [type, shown] = Object.entries(one.content ?? {})[0] ?? [];
    return make("details", {}, make("summary", {}, `${status} ${one.description ?? ""} `,
      make("span", { className: "muted" }, type ?? "")), shown ? fieldTable(shown.schema) : null);
  });
  return make("div", {},
    make("p", {}, operation.description ?? ""),
    parameterTable(parameters, inputs),
    kind ? make("h4", {}, `Body (${kind})`) : null, kind ? fieldTable(media.schema) : null, body,
    live ? null : make("p", {}, go), output,
    make("h4", {}, "Answers / 响应"), ...answers);
}

function route(method, path, operation) {
  const details = make("details", { className: "route" },
    make("summary", {}, make("span", { className: "method" }, method.toUpperCase()),
      make("code", {}, path), make("span", {}, operation.summary ?? "")));
  details.dataset.words = `${method} ${path} ${operation.summary ?? ""}`.toLowerCase();
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(routeBody(method.toUpperCase(), path, operation));
    }
  });
  return details;
}

async function start() {
  api = await (await fetch("/v1/openapi.json")).json();
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}: HTTP API`;
  document.getElementById("about").textContent = api.info.description ?? "";
  const sections = new Map((api.tags ?? []).map((tag) => [tag.name, { tag, routes: [] }]));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!operation.responses) continue;
      const name = operation.tags?.[0] ?? "other";
      if (!sections.has(name)) sections.set(name, { tag: { name }, routes: [] });
      sections.get(name).routes.push(route(method, path, operation));
    }
  }
  const main = document.getElementById("routes");
  main.replaceChildren(...[...sections.values()].filter((one) => one.routes.length).map((one) =>
    make("section", {}, make("h2", {}, one.tag.name.replace("-", " ")),
      make("p", { className: "muted" }, one.tag.description ?? ""), ...one.routes)));
  document.getElementById("find").addEventListener("input", (event) => {
    const word = event.target.value.toLowerCase();
    for (const one of main.querySelectorAll("details.route")) {
      one.hidden = !one.dataset.words.includes(word);
    }
  });
  const session = await fetch("/v1/session");
  const who = document.getElementById("who");
  who.textContent = session.ok ? `Signed in as ${(await session.json()).user}` : "Not signed in: POST /v1/session";
}

start();
