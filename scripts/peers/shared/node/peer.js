'use strict';
// What the peers on Node.js share: the command line, the rows of /orders, and a worker process for each
// thread. All that answers requests is in each peer's server.js.

const cluster = require('node:cluster');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');

/** The answer to GET /. */
exports.HELLO = 'Hello, World!';

/** How long a connection may be idle, as behind a balancer; the default of 5 s is too short for one. */
exports.KEEP_ALIVE_TIMEOUT_MS = 75_000;

/** Connections that wait to be accepted; the kernel lowers it to net.core.somaxconn. */
const BACKLOG = 16_384;

/** The rows of /orders, as objects. */
exports.readOrders = () =>
  JSON.parse(readFileSync(path.join(__dirname, '..', '..', 'orders.json'), 'utf8'));

/**
 * Calls `listen` with { host, port, backlog } in this process or, with more than one thread, in as many
 * workers of node:cluster; this process accepts then, and hands the connections round.
 */
exports.start = (listen) => {
  const { address, threads } = readArguments();
  if (threads > 1 && cluster.isPrimary) {
    supervise(threads);
  } else {
    listen({ ...address, backlog: BACKLOG });
  }
};

function readArguments() {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string', default: '127.0.0.1:8080' },
      threads: { type: 'string', default: '1' },
    },
  });
  const [host, port] = values.listen.split(':');
  return { address: { host, port: Number(port) }, threads: Number(values.threads) };
}

/** Ends with all workers when it is told to, and when one of them has ended. */
function supervise(count) {
  let status;
  // Not cluster.workers: one that has ended stays there until its channel is closed, too.
  const workers = new Set();
  const stop = (code) => {
    status ??= code;
    for (const worker of workers) worker.process.kill('SIGTERM');
  };
  cluster.on('exit', (worker, code, signal) => {
    if (status === undefined) console.error(`worker ${worker.process.pid} ended (${signal ?? code})`);
    workers.delete(worker);
    stop(1);
    if (workers.size === 0) process.exit(status);
  });
  process.on('SIGTERM', () => stop(0));
  process.on('SIGINT', () => stop(0));
  for (let index = 0; index < count; index += 1) workers.add(cluster.fork());
}
