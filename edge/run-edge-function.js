// Runs functions of an application where its client is: with the application's library (edge.js), in a Worker and under
// limits. Evaluated, this is, and leaves behind under its name,
//   async runEdgeFunction(name, functions, args)
// where `functions` is the member of that name of the answer to POST /edge. It returns edge results, which go as they are into
// `edgeResults` of a request to an endpoint: { "<function>": { "<base64 of the canonical JSON of its args>": <result> } },
// for the function and for the idempotent ones that it calls.
(globalThis.runEdgeFunction = async function runEdgeFunction(name, functions, args) {
  if (!Object.hasOwn(functions, name)) throw new Error(`function '${name}' was not downloaded`);
  const url = new URL(functions[name].application, globalThis.location?.href ?? 'http://localhost').href;
  // One connection for all answers of an application; a new answer tells of functions that have changed.
  const connections = globalThis[Symbol.for('serverledge.edge')] ??= new Map();
  let connection = connections.get(url);
  if (connection === undefined) {
    connection = { functions, application: import(`${url}/edge/edge.js`).then(({ connect }) => connect(url)) };
    connections.set(url, connection);
    connection.application.catch(() => connections.delete(url));
  }
  const application = await connection.application;
  if (connection.functions !== functions) {
    connection.functions = functions;
    await application.refresh();
  }
  // What it calls is to run here as well.
  await application.prepare();
  return application.edgeResults(name, args);
});
