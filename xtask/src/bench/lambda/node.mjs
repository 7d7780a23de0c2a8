// The Lambda Runtime API for a handler of Node.js, as AWS's own client does it: one call after the other.
import http from "node:http";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
  return new Promise((done, fail) => {
    const request = http.request({ host, port, method, path: "/2018-06-01/runtime" + path, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => done({ headers: response.headers, text: Buffer.concat(parts).toString() }));
    });
    request.on("error", fail);
    request.end(body);
  });
}

const { handler } = await import(pathToFileURL(process.argv[2]).href);
for (;;) {
  const call = await ask("GET", "/invocation/next");
  const id = call.headers["lambda-runtime-aws-request-id"];
  try {
    const answer = await handler(JSON.parse(call.text), { awsRequestId: id });
    await ask("POST", `/invocation/${id}/response`, JSON.stringify(answer ?? null));
  } catch (error) {
    await ask("POST", `/invocation/${id}/error`, JSON.stringify({ errorMessage: String(error) }));
  }
}
