// Bun's own server as a peer of ringserve: a process with a socket of its own for each thread.

import { parseArgs } from 'node:util';

// Seconds; a connection may be idle for so long.
const IDLE_TIMEOUT_S = 75;

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    threads: { type: 'string', default: '1' },
    worker: { type: 'boolean', default: false },
  },
});
const threads = Number(values.threads);

if (threads > 1 && !values.worker) {
  supervise();
} else {
  await serve();
}

async function serve() {
  const orders = await Bun.file(new URL('../orders.json', import.meta.url)).json();
  const [hostname, port] = values.listen.split(':');
  Bun.serve({
    hostname,
    port: Number(port),
    reusePort: threads > 1,
    idleTimeout: IDLE_TIMEOUT_S,
    development: false,
    routes: {
      '/': new Response('Hello, World!', { headers: { 'Content-Type': 'text/plain; charset=utf-8' } }),
      '/orders': { GET: () => Response.json(orders) },
      '/ping': {
        POST: async (request) => {
          const { sequence } = await request.json();
          return Response.json({ sequence });
        },
      },
    },
    fetch: () => new Response('not found', { status: 404 }),
  });
  // The end of the parent, however it ends, closes the channel to it.
  process.on('disconnect', () => process.exit(1));
}

// Ends with all workers when it is told to, and when one of them has ended.
function supervise() {
  let status;
  const command = [process.execPath, import.meta.path, '--worker', '--listen', values.listen, '--threads', values.threads];
  const stop = (code) => {
    status ??= code;
    for (const worker of workers) worker.kill('SIGTERM');
  };
  const workers = Array.from({ length: threads }, () =>
    Bun.spawn(command, { stdio: ['ignore', 'inherit', 'inherit'], ipc() {}, onExit: () => stop(1) }),
  );
  process.on('SIGTERM', () => stop(0));
  process.on('SIGINT', () => stop(0));
  Promise.all(workers.map((worker) => worker.exited)).then(() => process.exit(status));
}
