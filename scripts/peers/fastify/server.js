'use strict';
// Fastify as a peer of ringserve.

const fastify = require('fastify');
const peer = require('../shared/node/peer.js');

const orders = peer.readOrders();

const Order = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    customer_id: { type: 'integer' },
    total_cents: { type: 'integer' },
    status: { type: 'string' },
    created_at: { type: 'string' },
  },
};
const Ping = {
  type: 'object',
  properties: { sequence: { type: 'integer' } },
  required: ['sequence'],
};

const app = fastify({ logger: false, keepAliveTimeout: peer.KEEP_ALIVE_TIMEOUT_MS });

app.get('/', (_request, reply) => {
  reply.send(peer.HELLO);
});

// The schemas are what the serialisers are compiled from.
app.get('/orders', { schema: { response: { 200: { type: 'array', items: Order } } } }, (_request, reply) => {
  reply.send(orders);
});

app.post('/ping', { schema: { body: Ping, response: { 200: Ping } } }, (request, reply) => {
  reply.send({ sequence: request.body.sequence });
});

peer.start((address) => app.listen(address));
