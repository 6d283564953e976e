'use strict';
// Hono as a peer of ringserve, on Node.js by its own adapter.

const { createAdaptorServer } = require('@hono/node-server');
const { Hono } = require('hono');
const peer = require('../shared/node/peer.js');

const orders = peer.readOrders();

const app = new Hono();

app.get('/', (c) => c.text(peer.HELLO));

app.get('/orders', (c) => c.json(orders));

app.post('/ping', async (c) => {
  const { sequence } = await c.req.json();
  return c.json({ sequence });
});

const server = createAdaptorServer({
  fetch: app.fetch,
  serverOptions: { keepAliveTimeout: peer.KEEP_ALIVE_TIMEOUT_MS },
});
peer.start((address) => server.listen(address));
